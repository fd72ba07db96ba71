"""Exact values of memory-1 players against numbers by hand and against long play."""

import jax
import numpy as np
import pytest

from coplayer.analysis.exact import joint_distribution, mean_reward
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.match import play_match
from coplayer.players.memory1 import Memory1, cooperation, named_strategy


@pytest.mark.parametrize(
    ("first", "second", "reward"),
    [
        ("always_defect", "always_cooperate", 2.0),
        ("tit_for_tat", "tit_for_tat", 1.0),
        ("tit_for_tat", "always_defect", -1 / 10),  # cheated once in ten rounds
        ("always_defect", "tit_for_tat", 2 / 10),
        ("win_stay_lose_shift", "always_defect", -5 / 10),  # CD, DD, CD, DD ...
        ("random", "random", 0.5),
    ],
)
def test_rewards_by_hand_over_ten_rounds(first, second, reward):
    game = prisoners_dilemma(10)
    assert mean_reward(named_strategy(first), named_strategy(second), game) == pytest.approx(reward, abs=1e-6)


@pytest.mark.parametrize("actions", [2, 3])
def test_the_distribution_of_every_round_against_matches(actions):
    draws = np.random.default_rng(actions)
    tables = draws.dirichlet(np.ones(actions), (2, 1 + actions**2))
    first, second = (Memory1(table / table.sum(-1, keepdims=True)) for table in tables)
    game = MatrixGame(draws.normal(size=(2, actions, actions)), rounds=7)
    exact = np.asarray(joint_distribution(first, second, game))
    np.testing.assert_allclose(exact.sum(-1), 1, atol=1e-5)
    count = 40_000
    joint = play_match(first, second, game, jax.random.key(0), episodes=count)
    seen = np.stack([np.asarray(joint == j).mean(1) for j in range(actions**2)], axis=1)
    assert (np.abs(seen - exact) < 5 * np.sqrt(exact * (1 - exact) / count) + 1e-6).all()
    swapped = game.swap(joint)
    for player, (one, other, view) in enumerate([(first, second, joint), (second, first, swapped)]):
        rewards = np.asarray(game.reward(view, player)).mean(0)
        assert mean_reward(one, other, game, player) == pytest.approx(
            rewards.mean(), abs=5 * rewards.std() / np.sqrt(count)
        )


def test_uniform_tabular_pool_references_of_the_spec():
    """Against the uniform pool always-defect earns 1.00 a round: each answer cooperates half of the time."""
    game, draws = prisoners_dilemma(100), np.random.default_rng(0)
    opponents = draws.random((4000, 5))
    values = [float(mean_reward(named_strategy("always_defect"), cooperation(row), game)) for row in opponents[:300]]
    assert np.mean(values) == pytest.approx(1.0, abs=5 * np.std(values) / np.sqrt(len(values)))
