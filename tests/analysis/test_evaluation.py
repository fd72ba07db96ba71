"""Curves of an evaluation, for players whose play is known."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.evaluation import (
    LEARNER,
    OPPONENTS,
    TABULAR,
    against_fixed,
    curves,
    matches_against_fixed,
    named_opponents,
    some_tables,
)
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.play.rollout import play_match
from coplayer.play.trajectory import JointActions
from coplayer.players.memory1 import Memory1, TabularPlayers, cooperation, named_strategy
from vault import Vault

UNLIKE = MatrixGame([[[1, -1], [2, 0]], [[10, -10], [20, 5]]], rounds=2)


def test_curves_by_hand():
    joint = jnp.asarray([[0, 1], [2, 3]], dtype=jnp.uint8)  # rounds: (CC, CD), (DC, DD)
    seen = curves(JointActions(joint, UNLIKE))
    assert list(seen) == ["reward", "cooperation", "other_reward", "other_cooperation"]
    np.testing.assert_allclose(seen["reward"], [0, 1])
    np.testing.assert_allclose(seen["cooperation"], [1, 0])
    np.testing.assert_allclose(seen["other_reward"], [(10 + 20) / 2, (-10 + 5) / 2])
    np.testing.assert_allclose(seen["other_cooperation"], [0.5, 0.5])


def test_both_players_see_one_match():
    joint = jnp.asarray([[0, 1], [2, 3]], dtype=jnp.uint8)
    first, second = (curves(JointActions(joint, UNLIKE), player) for player in (0, 1))
    for name in ("reward", "cooperation"):
        np.testing.assert_array_equal(first[name], second[f"other_{name}"])
        np.testing.assert_array_equal(first[f"other_{name}"], second[name])


def test_each_opponent_is_who_it_is_called():
    """Always-defect meets each one: what they answer is known."""
    game = prisoners_dilemma(8)
    seen = against_fixed(named_strategy("always_defect"), game, jax.random.key(0), episodes=3000)
    assert set(seen) == {TABULAR, *OPPONENTS} and LEARNER not in seen
    answers = {name: curve["other_cooperation"] for name, curve in seen.items()}
    for curve in seen.values():
        np.testing.assert_array_equal(curve["cooperation"], 0)
    np.testing.assert_array_equal(answers["always_cooperate"], 1)
    np.testing.assert_array_equal(answers["always_defect"], 0)
    np.testing.assert_array_equal(answers["tit_for_tat"], [1] + [0] * 7)
    np.testing.assert_array_equal(answers["win_stay_lose_shift"], [1, 0] * 4)
    generous = answers["generous_tit_for_tat"]
    assert generous[0] == 1 and np.all(np.abs(generous[1:] - 1 / 3) < 5 * np.sqrt(2 / 9 / 3000))
    assert np.all(np.abs(answers[TABULAR] - 0.5) < 5 * np.sqrt(0.25 / 3000))


def test_a_player_of_the_second_seat_earns_what_that_seat_earns():
    """It always cooperates: against always-defect it earns -10 in the second seat, and the other 2 in the first."""
    matches = matches_against_fixed(named_strategy("always_cooperate"), UNLIKE, jax.random.key(0), episodes=3, seat=1)
    seen = curves(matches["always_defect"])
    np.testing.assert_array_equal(seen["reward"], -10)
    np.testing.assert_array_equal(seen["other_reward"], 2)


def test_a_game_of_three_actions_is_played_against_the_tabular_pool_alone():
    game = MatrixGame(np.eye(3), rounds=4)
    assert set(against_fixed(Memory1(np.full((10, 3), 1 / 3)), game, jax.random.key(0), episodes=4)) == {TABULAR}


def test_strategies_by_name_need_a_game_in_which_action_0_cooperates():
    assert named_opponents(prisoners_dilemma(4)) == OPPONENTS
    assert named_opponents(MatrixGame((1, 2, 3, 4), cooperation=1)) == ()


def test_a_game_with_state_is_measured_by_its_own_names():
    """A taker empties the vault in the first round; a saver leaves it to grow."""
    game = Vault(rounds=3)
    saver = TabularPlayers(jnp.zeros((game.observation_space.size, 2, 1)).at[:, 0].set(1.0))
    seen = against_fixed(saver, game, jax.random.key(0), episodes=5)
    assert set(seen) == {TABULAR}
    assert list(seen[TABULAR]) == ["reward", "saving", "other_reward", "other_saving"]
    np.testing.assert_array_equal(seen[TABULAR]["saving"], 1)
    np.testing.assert_array_equal(seen[TABULAR]["reward"], 0)
    other = seen[TABULAR]["other_saving"]
    assert other.shape == (3,) and 0 <= other.min() and other.max() < 1


def test_vectors_have_no_tabular_players():
    assert matches_against_fixed(named_strategy("random"), Vault(told="vector"), jax.random.key(0), episodes=2) == {}


def test_some_tables_are_those_that_were_played_there():
    """Of matrix games and of games with state."""
    games = {prisoners_dilemma(4): cooperation([0.5] * 5), Vault(rounds=4): None}
    for game, player in games.items():
        halves = TabularPlayers(jnp.full((game.observation_space.size, 2, 1), 0.5))
        trajectory = play_match((player or halves, halves), game, jax.random.key(1), episodes=6)
        part = some_tables(trajectory, slice(2, 5))
        for seat in (0, 1):
            whole, found = trajectory.view(seat), part.view(seat)
            np.testing.assert_array_equal(found.actions, whole.actions[:, 2:5])
            np.testing.assert_array_equal(found.rewards, whole.rewards[:, 2:5])
            np.testing.assert_array_equal(found.beyond, whole.beyond[2:5])
            for name in game.measures:
                np.testing.assert_array_equal(found.measures[name], whole.measures[name][:, 2:5])


@dataclass(frozen=True)
class Unfair(Vault):
    """The vault of a bank whose second customer gets twice as much."""

    symmetric: ClassVar[bool] = False

    def step(self, state, actions, key):
        state, rewards = super().step(state, actions, key)
        return state, rewards * jnp.array([1.0, 2.0])


@pytest.mark.parametrize(("seat", "reward"), [(0, 1.0), (1, 2.0)])
def test_a_player_of_a_game_with_state_sits_where_it_is_told_to(seat, reward):
    """Who always takes, of who always saves, gets the one coin of every round, or twice that."""
    game = Unfair(rounds=4)
    taker, saver = (TabularPlayers(jnp.zeros((4, 2, 1)).at[:, action].set(1.0)) for action in (1, 0))
    trajectory = play_match((taker, saver), game, jax.random.key(0), episodes=3, turned=seat)
    seen = curves(trajectory)
    np.testing.assert_array_equal(seen["reward"], reward)
    np.testing.assert_array_equal(seen["other_reward"], 0)
    np.testing.assert_array_equal(seen["saving"], 0)
