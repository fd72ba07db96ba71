"""Exact values of memory-1 players against numbers by hand, power series, and long play."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from coplayer.analysis import exact
from coplayer.analysis.exact import (
    discounted_returns,
    joint_distribution,
    mean_rewards,
    solve_dominant,
    stationary_rewards,
)
from coplayer.errors import CoplayerError
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import Memory1, cooperation, named_strategy
from oracles import joint_distributions


def random_pair(actions: int, seed: int = 0, batch: tuple[int, ...] = ()):
    draws = np.random.default_rng(seed)
    tables = draws.dirichlet(np.ones(actions), (2, *batch, 1 + actions**2))
    game = MatrixGame(draws.normal(size=(2, actions, actions)), rounds=7)
    return *(Memory1(table / table.sum(-1, keepdims=True)) for table in tables), game


def payoffs_in_firsts_view(game: MatrixGame) -> np.ndarray:
    """Both players' rewards after each joint action, [player, joint], entry by entry."""
    n = game.num_actions
    pairs = [(a, b) for a in range(n) for b in range(n)]
    first, second = game.tables
    return np.array([[first[a, b] for a, b in pairs], [second[b, a] for a, b in pairs]])


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
    both = mean_rewards(named_strategy(first), named_strategy(second), prisoners_dilemma(10))
    assert both[0] == pytest.approx(reward, abs=1e-6)


@pytest.mark.parametrize(
    ("first", "second", "rewards"),
    [
        ("tit_for_tat", "always_defect", (0, 0)),  # the first round does not count
        ("win_stay_lose_shift", "always_defect", (-0.5, 1)),  # CD, DD, CD, DD ...: periodic
        ("grim_trigger", "grim_trigger", (1, 1)),  # reducible: it stays where it began
        ("tit_for_tat", "win_stay_lose_shift", (1, 1)),
        ("random", "always_defect", (-0.5, 1)),
    ],
)
def test_rewards_by_hand_in_the_long_run(first, second, rewards):
    both = stationary_rewards(named_strategy(first), named_strategy(second), prisoners_dilemma(10))
    np.testing.assert_allclose(both, rewards, atol=1e-6)


def test_alternation_that_never_settles_has_a_mean_in_the_long_run():
    """Tit-for-tat against one that began by defecting: CD, DC, CD ..., for ever."""
    suspicious = cooperation([0, 1, 0, 1, 0])
    both = stationary_rewards(named_strategy("tit_for_tat"), suspicious, prisoners_dilemma(10))
    np.testing.assert_allclose(both, [0.5, 0.5], atol=1e-6)


@pytest.mark.parametrize("actions", [2, 3])
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.96])
def test_discounted_returns_against_the_power_series(actions, discount):
    first, second, game = random_pair(actions, seed=actions)
    tables = (np.asarray(player.probabilities, float) for player in (first, second))
    series = joint_distributions(*tables, rounds=600)
    weights = discount ** np.arange(600)
    expected = payoffs_in_firsts_view(game) @ (weights @ series)
    np.testing.assert_allclose(discounted_returns(first, second, game, discount), expected, rtol=2e-5, atol=2e-5)


def test_discounted_returns_against_long_play():
    first, second, game = random_pair(2, seed=9)
    game = MatrixGame(game.payoffs, rounds=120)
    joint = play_match((first, second), game, jax.random.key(0), episodes=20_000).joint
    weights = 0.9 ** np.arange(game.rounds)
    exact = discounted_returns(first, second, game, 0.9)
    for player, view in enumerate([joint, game.swap(joint)]):
        returns = weights @ np.asarray(game.reward(view, player))
        assert exact[player] == pytest.approx(returns.mean(), abs=5 * returns.std() / np.sqrt(len(returns)) + 1e-4)


@pytest.mark.parametrize("actions", [2, 3])
def test_the_long_run_is_the_mean_of_many_rounds(actions):
    first, second, game = random_pair(actions, seed=3)
    many = MatrixGame(game.payoffs, rounds=20_000)
    np.testing.assert_allclose(stationary_rewards(first, second, game), mean_rewards(first, second, many), atol=1e-3)


@pytest.mark.parametrize("actions", [2, 3])
def test_the_distribution_of_every_round_against_matches(actions):
    first, second, game = random_pair(actions, seed=actions)
    exact = np.asarray(joint_distribution(first, second, game))
    np.testing.assert_allclose(exact.sum(-1), 1, atol=1e-5)
    count = 40_000
    joint = play_match((first, second), game, jax.random.key(0), episodes=count).joint
    seen = np.stack([np.asarray(joint == j).mean(1) for j in range(actions**2)], axis=1)
    assert (np.abs(seen - exact) < 5 * np.sqrt(exact * (1 - exact) / count) + 1e-6).all()
    both = mean_rewards(first, second, game)
    for player, view in enumerate([joint, game.swap(joint)]):
        rewards = np.asarray(game.reward(view, player)).mean(0)
        assert both[player] == pytest.approx(rewards.mean(), abs=5 * rewards.std() / np.sqrt(count))


def test_batches_broadcast_and_hold_what_single_pairs_hold():
    first, second, game = random_pair(2, seed=1, batch=(3, 1))
    second = Memory1(second.probabilities[:1, 0])  # [1, ...] against [3, 1, ...]
    for function in (
        mean_rewards,
        stationary_rewards,
        lambda first, second, game: discounted_returns(first, second, game, 0.9),
    ):
        both = function(first, second, game)
        assert both.shape == (3, 1, 2)
        for i in range(3):
            alone = function(Memory1(first.probabilities[i, 0]), Memory1(second.probabilities[0]), game)
            np.testing.assert_allclose(both[i, 0], alone, rtol=1e-5, atol=1e-6)
    assert joint_distribution(first, second, game).shape == (7, 3, 1, 4)


@pytest.mark.parametrize("which", ["discounted", "stationary", "finite"])
def test_gradients_against_finite_differences_in_float64(which):
    function = {
        "discounted": lambda one, other, game: discounted_returns(one, other, game, 0.95),
        "stationary": stationary_rewards,
        "finite": mean_rewards,
    }[which]
    with jax.enable_x64(True):
        first, second, game = random_pair(2, seed=5)
        weights = jnp.array([1.0, -0.7])

        def value(p, q):
            tables = (Memory1(jnp.stack([x, 1 - x], axis=-1)) for x in (p, q))
            return (function(*tables, game) * weights).sum()

        points = [np.asarray(player.probabilities[:, 0]) for player in (first, second)]
        gradients = jax.grad(value, argnums=(0, 1))(*map(jnp.asarray, points))
        assert gradients[0].dtype == jnp.float64
        for player, gradient in enumerate(gradients):
            for k in range(5):
                ends = []
                for step in (1e-6, -1e-6):
                    moved = [point.copy() for point in points]
                    moved[player][k] += step
                    ends.append(float(value(*map(jnp.asarray, moved))))
                assert gradient[k] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-7)


def test_solving_against_numpy_and_its_derivative():
    draws = np.random.default_rng(0)
    with jax.enable_x64(True):
        matrix = np.eye(5)[..., None] - 0.19 * draws.random((5, 5, 6))  # rows and columns sum to less than 1
        right = draws.normal(size=(5, 6))
        solved = solve_dominant(jnp.asarray(matrix), jnp.asarray(right))
        for b in range(6):
            np.testing.assert_allclose(solved[:, b], np.linalg.solve(matrix[:, :, b], right[:, b]), rtol=1e-12)
        numbers = (jnp.asarray(matrix), jnp.asarray(right))
        check_grads(lambda m, r: solve_dominant(jnp.asarray(m), jnp.asarray(r)), numbers, order=2, rtol=1e-5)


def test_what_has_no_exact_values_is_one_line():
    value, tit_for_tat = exact._batch_last.__wrapped__, named_strategy("tit_for_tat")  # past the tests' own types
    with pytest.raises(CoplayerError, match=r"^game: must be a MatrixGame, got PublicGoods"):
        value(tit_for_tat, tit_for_tat, PublicGoods(2))
    with pytest.raises(CoplayerError, match=r"^player 2: must be a Memory1, got 'tit_for_tat'$"):
        value(tit_for_tat, "tit_for_tat", prisoners_dilemma())
    with pytest.raises(CoplayerError, match=r"^player 1: its table is made for 2 actions, this game has 3$"):
        value(tit_for_tat, tit_for_tat, MatrixGame(np.eye(3)))


def test_a_discount_of_one_is_refused():
    with pytest.raises(CoplayerError, match=r"discount: must lie in \[0, 1\), got 1"):
        discounted_returns(named_strategy("random"), named_strategy("random"), prisoners_dilemma(), 1.0)


def test_uniform_tabular_pool_references():
    """Against the uniform pool always-defect earns 1.00 per round: each answer cooperates half of the time."""
    game, draws = prisoners_dilemma(100), np.random.default_rng(0)
    values = np.asarray(mean_rewards(named_strategy("always_defect"), cooperation(draws.random((300, 5))), game)[:, 0])
    assert values.mean() == pytest.approx(1.0, abs=5 * values.std() / np.sqrt(len(values)))
