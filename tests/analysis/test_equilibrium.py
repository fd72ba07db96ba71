"""Best responses, regrets and projected gradients against cases by hand and against search."""

import jax
import numpy as np
import pytest

from coplayer.analysis.equilibrium import best_response, projected_gradients, regrets, rewards
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.memory1 import Memory1, cooperation, named_strategy

GAME = prisoners_dilemma()


def test_best_responses_by_hand():
    tit_for_tat = named_strategy("tit_for_tat")
    player, value = best_response(tit_for_tat, GAME, 0.9)
    assert value == pytest.approx(1.0, abs=1e-5)
    assert rewards(player, tit_for_tat, GAME, 0.9)[0] == pytest.approx(1.0, abs=1e-5)
    _, impatient = best_response(tit_for_tat, GAME, 0.2)  # defect for good, or in turns: 2 - 1 * .2 + 2 * .04 ...
    turns = (1 - 0.2) * (2 - 0.2) / (1 - 0.04)
    assert impatient == pytest.approx(max(turns, (1 - 0.2) * 2), abs=1e-5)
    player, value = best_response(named_strategy("always_cooperate"), GAME, 1.0)
    assert value == pytest.approx(2.0, abs=1e-5)
    assert np.asarray(player.probabilities)[3, 1] == 1  # keeps defecting after DC


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_no_memory1_player_does_better_than_the_best_response(discount):
    draws = np.random.default_rng(1)
    opponents = cooperation(draws.random((5, 5)))
    player, value = best_response(opponents, GAME, discount)
    np.testing.assert_allclose(rewards(player, opponents, GAME, discount)[:, 0], value, atol=1e-5)
    others = cooperation(draws.random((400, 1, 5)))
    assert (np.asarray(rewards(others, opponents, GAME, discount))[..., 0].max(0) <= np.asarray(value) + 1e-5).all()


def test_regrets_are_zero_at_equilibria_and_only_there():
    defect, tit_for_tat = named_strategy("always_defect"), named_strategy("tit_for_tat")
    np.testing.assert_allclose(regrets(defect, defect, GAME, 0.9), 0, atol=1e-6)
    np.testing.assert_allclose(regrets(tit_for_tat, tit_for_tat, GAME, 0.9), 0, atol=1e-5)
    naive = named_strategy("always_cooperate")
    np.testing.assert_allclose(regrets(naive, naive, GAME, 0.9), [1, 1], atol=1e-5)
    one_sided = MatrixGame([[[0, 0], [5, 5]], [[1, 1], [0, 0]]])  # seat 0 should defect, seat 1 cooperate
    np.testing.assert_allclose(regrets(naive, naive, one_sided, 0.9), [5, 0], atol=1e-5)


def test_projected_gradients():
    defect = named_strategy("always_defect")
    np.testing.assert_allclose(projected_gradients(defect, defect, GAME, 0.9), 0, atol=1e-6)
    inner = cooperation(np.random.default_rng(2).uniform(0.4, 0.6, (2, 5)))
    first, second = (Memory1(inner.probabilities[i]) for i in range(2))
    with jax.enable_x64(True):
        first, second = (cooperation(np.asarray(p.probabilities)[:, 0]) for p in (first, second))
        found = projected_gradients(first, second, GAME, 0.9, step=1e-3)
        for player in range(2):
            slopes = []
            for k in range(5):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = [np.asarray(p.probabilities)[:, 0].copy() for p in (first, second)]
                    moved[player][k] += step
                    ends.append(float(rewards(*map(cooperation, moved), GAME, 0.9)[player]))
                slopes.append((ends[0] - ends[1]) / 2e-6)
            # A move of d in P(C) is one of (d, -d) in the table; half the slope falls on each.
            assert found[player] == pytest.approx(np.sqrt(2 * ((np.array(slopes) / 2) ** 2).sum()), rel=1e-6)


def test_too_many_candidates_are_refused():
    with pytest.raises(CoplayerError, match="at most 3 actions"):
        best_response(Memory1(np.full((17, 4), 0.25)), MatrixGame(np.zeros((4, 4))), 0.9)
