"""Payoffs of OpenSpiel's matrix games, against the returns of its own play."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.interop.openspiel import as_matrix_game, matrix_games


def library():
    return pytest.importorskip("pyspiel", reason="needs coplayer[openspiel]")


def test_every_matrix_game_pays_what_it_pays_there():
    pyspiel, read = library(), []
    for name in matrix_games():
        theirs = pyspiel.load_game(name)
        ours = as_matrix_game(name, rounds=3)
        for actions in np.ndindex(ours.num_actions, ours.num_actions):
            state = theirs.new_initial_state()
            state.apply_actions(list(actions))
            _, rewards = ours.step(ours.reset(jax.random.key(0)), jnp.asarray(actions), jax.random.key(0))
            np.testing.assert_allclose(rewards, state.returns())
        read.append(name)
    assert {"matrix_pd", "matrix_sh", "matrix_bos", "matrix_rpsw"} <= set(read)


def test_the_prisoners_dilemma_and_one_whose_players_differ():
    library()
    dilemma = as_matrix_game("matrix_pd", 7)
    assert dilemma.symmetric and dilemma.rounds == 7 and dilemma.cooperation == 0
    np.testing.assert_array_equal(dilemma.tables[0], [[5, 0], [10, 1]])
    sexes = as_matrix_game("matrix_bos", cooperation=1)
    assert not sexes.symmetric and sexes.cooperation == 1
    np.testing.assert_array_equal(sexes.tables, [[[3, 0], [0, 2]], [[2, 0], [0, 3]]])


def test_a_game_made_there_keeps_whose_payoffs_are_whose():
    pyspiel = library()
    made = pyspiel.create_matrix_game([[1, 2], [3, 4]], [[5, 6], [7, 8]])
    np.testing.assert_array_equal(as_matrix_game(made).tables, [[[1, 2], [3, 4]], [[5, 7], [6, 8]]])


@pytest.mark.parametrize(
    ("game", "message"),
    [
        ("matrix_nothing", "game: must be one of matrix_bos, "),
        ("kuhn_poker", "game: kuhn_poker is no matrix game"),
        ("blotto", "game: blotto is no matrix game"),
        (3, "game: must be a name or a game of OpenSpiel, got 3"),
    ],
)
def test_what_is_refused(game, message):
    library()
    with pytest.raises(CoplayerError, match=message) as refused:
        as_matrix_game(game)
    assert "\n" not in str(refused.value)


def test_players_with_different_numbers_of_actions_are_refused():
    pyspiel = library()
    with pytest.raises(CoplayerError, match="has 2 and 3 actions"):
        as_matrix_game(pyspiel.create_matrix_game([[1, 2, 3], [3, 4, 5]], [[5, 6, 7], [7, 8, 9]]))


def test_without_openspiel_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyspiel", None)
    with pytest.raises(CoplayerError, match=r"openspiel: is not installed; pip install 'coplayer\[openspiel\]'"):
        as_matrix_game("matrix_pd")
