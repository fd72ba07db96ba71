"""Tournaments against matches by hand, and of deterministic strategies against their known rewards."""

import jax
import numpy as np
import pytest

from coplayer.analysis import tournament as module
from coplayer.analysis.tournament import tournament
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.play.rollout import play_match
from coplayer.players.automaton import named_automaton, of_memory1
from coplayer.players.memory1 import named_strategy

GAME = prisoners_dilemma(10)
NAMES = ("tit_for_tat", "always_defect", "always_cooperate")


def players(*names):
    return {name: named_strategy(name) for name in names}


def test_deterministic_strategies_by_hand():
    result = tournament(players(*NAMES), GAME, jax.random.key(0), episodes=3)
    expected = [
        [1.0, -0.1, 1.0],  # tit-for-tat: suckered once in ten rounds by always-defect
        [0.2, 0.0, 2.0],
        [1.0, -1.0, 1.0],
    ]
    np.testing.assert_allclose(result.rewards, expected, atol=1e-6)
    np.testing.assert_allclose(result.measures["cooperation"], [[1, 0.1, 1], [0, 0, 0], [1, 1, 1]], atol=1e-6)
    assert [name for name, _ in result.ranking()] == ["always_defect", "tit_for_tat", "always_cooperate"]
    assert result.ranking()[0][1] == pytest.approx(2.2 / 3)


def test_the_table_has_the_best_player_first():
    result = tournament(players(*NAMES), GAME, jax.random.key(0), episodes=1)
    lines = result.table().strip().splitlines()
    assert lines[2].startswith("| always_defect | 0.73 | 0.00 | 0.20 | 2.00 |")
    assert len(lines) == 5


def test_both_seats_of_an_asymmetric_game():
    game = MatrixGame([[[5, 0], [0, 1]], [[1, 0], [0, 5]]], rounds=3)
    pair = players("always_cooperate", "always_defect")
    result = tournament(pair, game, jax.random.key(0), episodes=2)
    assert result.rewards[0, 0] == 5.0 and result.rewards[1, 1] == 1.0  # with itself: as seat 0 has it
    match = play_match(tuple(pair.values()), game, jax.random.key(0), episodes=2)
    assert result.rewards[0, 1] == match.view(0).rewards.mean()
    assert result.rewards[1, 0] == match.view(1).rewards.mean()


def test_random_players_as_in_the_match_of_that_key():
    one = players("random", "generous_tit_for_tat")
    result = tournament(one, GAME, jax.random.key(3), episodes=7, inner_episodes=2)
    key = jax.random.fold_in(jax.random.key(3), 1)
    match = play_match(tuple(one.values()), GAME, key, episodes=7, inner_episodes=2)
    assert result.rewards[0, 1] == pytest.approx(float(match.view(0).rewards.mean()))
    assert result.rewards[1, 0] == pytest.approx(float(match.view(1).rewards.mean()))


def test_what_is_refused():
    with pytest.raises(CoplayerError, match="a tournament needs a game of two players, this one has 3"):
        tournament(players("random"), PublicGoods(), jax.random.key(0))
    with pytest.raises(CoplayerError, match="players: needs at least one"):
        tournament({}, GAME, jax.random.key(0))
    with pytest.raises(CoplayerError, match="inner_episodes: must be a whole number"):
        tournament({"Tit For Tat": named_automaton("Tit For Tat")}, GAME, jax.random.key(0), inner_episodes=0)
    with pytest.raises(CoplayerError, match="made for 2 actions, this game has 3"):
        tournament(players("random"), MatrixGame(np.eye(3)), jax.random.key(0))


def test_a_tournament_of_automata_is_that_of_the_same_strategies():
    mixed = {name: of_memory1(named_strategy(name)) if i % 2 else named_strategy(name) for i, name in enumerate(NAMES)}
    alike = {name: of_memory1(named_strategy(name)) for name in NAMES}
    expected = tournament(players(*NAMES), GAME, jax.random.key(0), episodes=2)
    for some in (mixed, alike):
        result = tournament(some, GAME, jax.random.key(0), episodes=2)
        for name, values in expected.by_match.items():
            np.testing.assert_allclose(result.by_match[name], values, atol=1e-6)


def test_many_automata_are_played_in_parts(monkeypatch):
    automata = {name: of_memory1(named_strategy(name)) for name in (*NAMES, "random", "win_stay_lose_shift")}
    whole = tournament(automata, GAME, jax.random.key(0), episodes=200)
    monkeypatch.setattr(module, "MOST_TABLES", 4 * 200)
    parts = tournament(automata, GAME, jax.random.key(0), episodes=200)
    np.testing.assert_allclose(parts.rewards, whole.rewards, atol=0.06)  # those of random players differ
    np.testing.assert_allclose(parts.rewards[:3, :3], whole.rewards[:3, :3], atol=1e-6)


def test_a_trembling_hand_by_hand():
    """Tit-for-tat with itself, where every move is changed: all defect, all see it, all choose to defect, which becomes
    cooperation, and so on.
    """
    one = {"tit_for_tat": named_strategy("tit_for_tat")}
    result = tournament(one, prisoners_dilemma(4), jax.random.key(0), episodes=1, noise=1.0)
    assert result.rewards[0, 0] == pytest.approx((0 + 1 + 0 + 1) / 4)
    pair = {name: of_memory1(named_strategy(name)) for name in ("always_cooperate", "always_defect")}
    rates = tournament(pair, prisoners_dilemma(1000), jax.random.key(0), episodes=20, noise=0.1).measures["cooperation"]
    np.testing.assert_allclose(rates, [[0.9, 0.9], [0.1, 0.1]], atol=0.01)


def test_scores_with_and_without_matches_against_itself():
    result = tournament(players(*NAMES), GAME, jax.random.key(0), episodes=3)
    np.testing.assert_allclose(result.scores()[:, 0], [1.9 / 3, 2.2 / 3, 1 / 3], atol=1e-6)
    np.testing.assert_allclose(result.scores(itself=False)[:, 2], [0.45, 1.1, 0], atol=1e-6)
    assert result.ranking(itself=False)[0] == ("always_defect", pytest.approx(1.1))
