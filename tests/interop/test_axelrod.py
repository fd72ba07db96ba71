"""Our agents in Axelrod's matches and tournaments, and its strategies in ours, against its own play."""

import importlib
import io
import pickle
import sys
import unittest

import axelrod
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.coin import CoinGame
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.interop.axelrod import as_player, play
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.seating import Opening
from coplayer.players.automaton import named_automaton
from coplayer.players.memory1 import named_strategy
from coplayer.players.recurrent import RecurrentPlayer

GAME = prisoners_dilemma(12)
C, D = axelrod.Action.C, axelrod.Action.D
CLASSIC = MatrixGame((3.0, 0.0, 5.0, 1.0), rounds=12)


def joint_of(match):
    """A match of Axelrod's as joint actions."""
    return np.array([2 * (own == D) + (other == D) for own, other in match])


@pytest.fixture(scope="module")
def agent():
    """A network that has learned nothing: it plays at random, and remembers."""
    return RecurrentPlayer(ActorCritic(GAME, 4, key=jax.random.key(0)))


@pytest.mark.parametrize("name", ["tit_for_tat", "win_stay_lose_shift", "grim_trigger", "always_defect"])
@pytest.mark.parametrize("opponent", [axelrod.TitForTat, axelrod.Cooperator, axelrod.Alternator, axelrod.Grudger])
def test_a_player_of_ours_plays_as_theirs_does(name, opponent):
    theirs = {
        "tit_for_tat": axelrod.TitForTat,
        "win_stay_lose_shift": axelrod.WinStayLoseShift,
        "grim_trigger": axelrod.Grudger,
        "always_defect": axelrod.Defector,
    }[name]
    ours = as_player(named_strategy(name), name)
    played = axelrod.Match((ours(), opponent()), turns=12).play()
    assert played == axelrod.Match((theirs(), opponent()), turns=12).play()
    found = play(named_automaton(name), [opponent()], CLASSIC, jax.random.key(0), matches=2)
    for table in range(2):
        np.testing.assert_array_equal(found.joint[:, table], joint_of(played))


def test_an_agent_learns_what_was_really_played():
    """Tit-for-tat whose first move is defection, against defectors whose moves are noisy: it repeats what they did."""
    ours = as_player(Opening(named_strategy("tit_for_tat"), jnp.ones((), int)), "suspicious")
    match = axelrod.Match((ours(), axelrod.Defector()), turns=300, noise=0.3, seed=1).play()
    intended = [1] + [int(other == D) for _, other in match[:-1]]
    changed = np.mean([(own == D) != intend for (own, _), intend in zip(match, intended, strict=True)])
    assert changed == pytest.approx(0.3, abs=0.1)
    found = play(
        named_strategy("tit_for_tat"), [axelrod.Defector()], prisoners_dilemma(300), jax.random.key(0), noise=0.3
    )
    own, other = np.asarray(found.joint) // 2, np.asarray(found.joint) % 2
    assert (own[1:] != other[:-1]).mean() == pytest.approx(0.3, abs=0.04)
    assert other.mean() == pytest.approx(0.7, abs=0.04)


def test_an_agent_is_cloned_compared_and_played_again(agent):
    kind = as_player(agent, "an agent")
    player = kind()
    assert repr(player) == player.name == "an agent" and kind.__name__ == "an_agent"
    assert axelrod.Classifiers["stochastic"](player) and axelrod.Classifiers["memory_depth"](player) == float("inf")
    one, two = (axelrod.Match((kind(), axelrod.TitForTat()), turns=12, seed=3).play() for _ in range(2))
    other = axelrod.Match((kind(), axelrod.TitForTat()), turns=12, seed=4).play()
    assert one == two != other
    match = axelrod.Match((player, axelrod.TitForTat()), turns=5, seed=3)
    match.play()
    clone = player.clone()
    assert isinstance(clone, kind) and not clone.history and clone != player
    player.reset()
    assert player == kind() and not player.history


def test_an_agent_in_their_tournament_fingerprint_and_moran_process(agent):
    kind = as_player(agent, "an agent")
    players = [kind(), axelrod.TitForTat(), axelrod.Defector()]
    found = axelrod.Tournament(players, turns=4, repetitions=2, seed=1).play(progress_bar=False)
    assert set(found.ranked_names) == {"an agent", "Tit For Tat", "Defector"}
    moran = axelrod.MoranProcess([kind(), axelrod.Defector()], turns=3, seed=1)
    moran.play()
    assert moran.winning_strategy_name in ("an agent", "Defector")
    prints = axelrod.AshlockFingerprint(kind(), axelrod.TitForTat())
    assert len(prints.fingerprint(turns=2, repetitions=1, step=0.5, progress_bar=False, seed=1)) == 9


def test_matches_of_one_opponent_come_in_a_row_and_draw_by_the_key(agent):
    opponents = [axelrod.Cooperator(), axelrod.Defector(), axelrod.Random(0.5)]
    one, two = (play(agent, opponents, GAME, jax.random.key(seed), matches=3) for seed in (1, 1))
    np.testing.assert_array_equal(one.joint, two.joint)
    theirs = np.asarray(one.joint) % 2
    assert one.joint.shape == (12, 9) and (theirs[:, :3] == 0).all() and (theirs[:, 3:6] == 1).all()
    assert 0 < theirs[:, 6:].mean() < 1 and not (theirs[:, 6] == theirs[:, 7]).all()
    assert (np.asarray(play(agent, opponents, GAME, jax.random.key(2), matches=3).joint) != one.joint).any()
    np.testing.assert_allclose(one.view(0).rewards, GAME.payoff_vector()[np.asarray(one.joint)])


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_matches_that_part_go_on_as_those_of_players_of_their_own(agent, noise):
    """A deterministic strategy acts once for all matches that have gone alike. Here each match has its own player."""
    opponents = [axelrod.Grudger(), axelrod.Adaptive(), axelrod.GoByMajority(), axelrod.EvolvedLookerUp2_2_2()]
    played = np.asarray(play(agent, opponents, GAME, jax.random.key(1), matches=4, noise=noise).joint)
    assert len({tuple(match) for match in played.T}) > 8
    meant = np.empty_like(played)
    for table, match in enumerate(played.T):
        player, view = opponents[table // 4].clone(), axelrod.MockPlayer([])
        player.set_match_attributes(length=float("inf"), game=axelrod.Game(), noise=noise)
        for round_, joint in enumerate(match):
            meant[round_, table] = player.strategy(view) == D
            own, other = ((C, D)[side] for side in divmod(int(joint), 2))
            player.update_history(other, own)
            view.update_history(own, other)
    changed = (meant != played % 2).mean()
    assert changed == 0 if noise == 0 else 0.1 < changed < 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: as_player(named_strategy("random"), ""), "name: must be a text"),
        (lambda: play(named_strategy("random"), [], GAME, jax.random.key(0)), "opponents: must be a list"),
        (lambda: play(named_strategy("random"), [axelrod.TitForTat()], CoinGame(), jax.random.key(0)), "two actions"),
        (
            lambda: play(named_strategy("random"), [axelrod.TitForTat()], GAME, jax.random.key(0), noise=2.0),
            "noise: must be a probability",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(CoplayerError, match=message):
        call()


def test_without_axelrod_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "axelrod", None)
    with pytest.raises(CoplayerError, match=r"axelrod: is not installed; pip install 'coplayer\[axelrod\]'"):
        as_player(named_strategy("random"), "x")


def test_strategies_that_refuse_our_payoffs_play_with_axelrods():
    unusual = prisoners_dilemma(5)
    with pytest.raises(ValueError):
        axelrod.ZDGen2().set_match_attributes(length=5, game=axelrod.Game(r=1, s=-1, t=2, p=0), noise=0)
    played = play(named_strategy("tit_for_tat"), [axelrod.ZDGen2()], unusual, jax.random.key(0), matches=2)
    assert played.joint.shape == (5, 2)


def test_a_player_goes_to_another_process_and_back(agent):
    """As in Axelrod's parallel tournaments: the copy has the history and goes on as the player itself."""
    own, other = as_player(agent, "an agent")(), axelrod.Alternator()
    axelrod.Match((own, other), turns=4, seed=3).play()
    copy = pickle.loads(pickle.dumps(own))
    assert copy.history == own.history and copy.name == own.name and copy._memory == own._memory
    assert [own.strategy(other) for _ in range(8)] == [copy.strategy(other) for _ in range(8)]


@pytest.mark.long
def test_the_checks_that_axelrod_makes_of_every_player(agent):
    """Its own test class, with fewer examples than it takes of its own players."""
    hypothesis = pytest.importorskip("hypothesis")
    hypothesis.settings.register_profile("few", max_examples=3, deadline=None, database=None)
    hypothesis.settings.load_profile("few")
    checks = importlib.import_module("axelrod.tests.strategies.test_player")

    class AgentChecks(checks.TestPlayer):
        name, player = "an agent", as_player(agent, "an agent")
        expected_classifier = player.classifier

    suite = unittest.defaultTestLoader.loadTestsFromTestCase(AgentChecks)
    assert suite.countTestCases() >= 9
    result = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
    assert not result.failures + result.errors, [text for _, text in result.failures + result.errors]
