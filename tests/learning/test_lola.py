"""DiCE against the enumeration of every course of a two-round game, to the second derivatives. The look-ahead against
the exact one, to float64's accuracy on enumerated trajectories and within standard errors on sampled ones.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.exact import mean_rewards
from coplayer.games.matrix import MatrixGame
from coplayer.learning import exact_gradients, lola
from coplayer.players.memory1 import Memory1

GAME = MatrixGame([[[1.0, -1.0], [2.0, 0.3]], [[0.5, -2.0], [1.5, 0.2]]], rounds=2)
COURSES = np.array(list(itertools.product(range(4), repeat=GAME.rounds))).T  # joint actions [time, 16]


def seen_by_both(joint):
    """(observation, action) [time, batch] of the first player and of the second."""
    sides = []
    for view in (joint, GAME.swap(joint)):
        observation = jnp.concatenate([jnp.zeros_like(view[:1]), 1 + view[:-1]])
        sides.append((observation, GAME.own_action(view)))
    return sides


def table_logs(logits, observation, action):
    """Log-probabilities of the actions of a memory-1 player, from its five logits of action 0."""
    return jax.nn.log_sigmoid(jnp.where(action == 0, 1, -1) * logits[observation])


def recurrent_logs(weights, observation, action):
    """The same of a small recurrent network."""
    state, logs = jnp.zeros((observation.shape[1], 2)), []
    for seen, done in zip(observation, action, strict=True):
        state = jnp.tanh(weights["input"][seen] + state @ weights["hidden"])
        logs.append(jax.nn.log_sigmoid(jnp.where(done == 0, 1, -1) * (state @ weights["head"])))
    return jnp.stack(logs)


def rewards_of(joint):
    """[player, time, batch]"""
    return jnp.stack([GAME.reward(joint), GAME.reward(GAME.swap(joint), 1)])


def log_probabilities(own, other, joint, own_logs=table_logs):
    first, second = seen_by_both(joint)
    return jnp.stack([own_logs(own, *first), table_logs(other, *second)])


def expected_returns(own, other, gamma, own_logs=table_logs):
    """[player], over all courses."""
    joint = jnp.asarray(COURSES)
    chance = jnp.exp(log_probabilities(own, other, joint, own_logs).sum((0, 1)))
    return (rewards_of(joint) * gamma ** jnp.arange(GAME.rounds)[:, None] * chance).sum((1, 2))


def players(seed=0):
    rng = np.random.default_rng(seed)
    return tuple(jnp.asarray(rng.normal(size=5)) for _ in range(2))


@pytest.fixture
def float64():
    with jax.enable_x64(True):
        yield


def baselines_by_history(seed):
    """Any function of what was played before a round [time, course]."""
    rng = np.random.default_rng(seed)
    start, after = rng.normal(), rng.normal(size=4)
    return jnp.asarray(np.stack([np.full(COURSES.shape[1], start), after[COURSES[0]]]))


def test_the_value_is_the_mean_discounted_return():
    own, other = players()
    joint = jnp.asarray(COURSES)
    expected = np.mean([sum(0.9**t * GAME.tables[0][c[t] // 2][c[t] % 2] for t in range(2)) for c in COURSES.T])
    for baselines in (jnp.zeros(COURSES.shape), baselines_by_history(1)):
        found = lola.dice_objective(log_probabilities(own, other, joint), rewards_of(joint)[0], baselines, gamma=0.9)
        assert float(found) == pytest.approx(expected, abs=1e-6)


def derivatives(function, own, other):
    """All first and second derivatives by both players' logits."""
    slope = jax.grad(lambda x: function(x[:5], x[5:]))
    both = jnp.concatenate([own, other])
    return slope(both), jax.jacobian(slope)(both)


@pytest.mark.parametrize(("player", "baseline"), [(0, False), (1, True)], ids=["no baseline", "any baseline"])
def test_first_and_second_derivatives_against_enumeration(float64, player, baseline):
    """Means over all courses of the derivatives of each one's objective; without a bias at either order."""
    own, other = players(1)
    joint, baselines = jnp.asarray(COURSES), baselines_by_history(2) * baseline
    chance = jnp.exp(log_probabilities(own, other, joint).sum((0, 1)))

    def of_course(own, other, c):
        one = joint[:, c][:, None]
        given = log_probabilities(own, other, one), rewards_of(one)[player], baselines[:, c][:, None]
        return lola.dice_objective(*given, gamma=0.9)

    def of_all():
        of_each = jax.vmap(lambda c: derivatives(lambda x, y: of_course(x, y, c), own, other))(jnp.arange(16))
        return of_each, derivatives(lambda x, y: expected_returns(x, y, 0.9)[player], own, other)

    (first, second), exact = jax.jit(of_all)()
    np.testing.assert_allclose(np.tensordot(chance, first, 1), exact[0], atol=1e-12)
    np.testing.assert_allclose(np.tensordot(chance, second, 1), exact[1], atol=1e-12)
    assert np.abs(exact[1][:5, 5:]).max() > 1e-2  # the mixed ones, which shaping is made of


def test_the_value_as_baseline_lowers_the_variance_of_both_orders(float64):
    own, other = players(1)
    joint = jnp.asarray(COURSES)
    chance = np.exp(log_probabilities(own, other, joint).sum((0, 1)))
    last = np.asarray(rewards_of(joint)[0, 1])
    after = [np.average(last[COURSES[0] == j], weights=chance[COURSES[0] == j]) for j in range(4)]
    start = np.average(np.asarray(rewards_of(joint)[0].sum(0)), weights=chance)
    value = jnp.asarray(np.stack([np.full(16, start), np.array(after)[COURSES[0]]]))

    def spread(baselines):
        """Total variance of the first and of the second derivatives."""

        def of_course(own, other, c):
            one = joint[:, c][:, None]
            given = log_probabilities(own, other, one), rewards_of(one)[0], baselines[:, c][:, None]
            return lola.dice_objective(*given, gamma=1.0)

        of_each = jax.vmap(lambda c: derivatives(lambda x, y: of_course(x, y, c), own, other))
        both = jax.jit(of_each)(jnp.arange(16))
        return [np.sum(np.tensordot(chance, (d - np.tensordot(chance, d, 1)) ** 2, 1)) for d in map(np.asarray, both)]

    plain, reduced = spread(jnp.zeros_like(value)), spread(value)
    assert reduced[0] < 0.9 * plain[0]
    assert reduced[1] < 0.9 * plain[1]


def enumerated(own_logs=table_logs, baselines=0.0):
    """(sample, evaluate) that give every course with its probability as its weight: a batch without noise."""

    def sample(key, own, other):
        joint = jnp.asarray(COURSES)
        return joint, COURSES.shape[1] * jnp.exp(log_probabilities(own, other, joint, own_logs).sum((0, 1)))

    def evaluate(own, other, trajectories):
        joint, weights = trajectories
        logs = log_probabilities(own, other, joint, own_logs)
        return lola.Course(logs, weights * rewards_of(joint), weights * (baselines + jnp.zeros_like(logs)))

    return sample, evaluate


def exact_values(own, other):
    """Both players' expected sums of rewards, of memory-1 players, from the Markov chain."""
    tables = [jnp.stack([jax.nn.sigmoid(x), jax.nn.sigmoid(-x)], axis=-1) for x in (own, other)]
    return GAME.rounds * mean_rewards(*map(Memory1, tables), GAME)


@pytest.mark.parametrize("steps", [0, 3])
def test_the_lookahead_without_noise_is_the_exact_one(float64, steps):
    own, other = players(3)
    settings = {"steps": steps, "rate": 1.5}
    game = enumerated(baselines=baselines_by_history(4))

    def all_three():
        found = lola.lookahead(*game, jax.random.key(0), own, other, **settings, gamma=1.0, learner_gamma=1.0)
        exact = exact_gradients.lookahead(exact_values, own, other, **settings)
        return found, exact, exact_gradients.naive(exact_values, own, other)

    found, exact, naive = jax.jit(all_three)()
    np.testing.assert_allclose(found, exact, atol=1e-10)
    assert steps == 0 or np.abs(exact - naive).max() > 0.05


def test_the_lookahead_of_a_recurrent_player_with_two_discounts(float64):
    """Parameters of one's own in a dictionary; the exact look-ahead by the enumerated returns."""
    rng = np.random.default_rng(5)
    shapes = {"input": (5, 2), "hidden": (2, 2), "head": (2,)}
    own = {name: jnp.asarray(rng.normal(size=shape)) for name, shape in shapes.items()}
    other = players(6)[0]

    def value(own):
        learned = other
        for _ in range(2):
            slope = jax.grad(lambda o: expected_returns(own, o, 0.8, recurrent_logs)[1])(learned)
            learned = learned + 1.5 * slope
        return expected_returns(own, learned, 0.9, recurrent_logs)[0]

    settings = {"steps": 2, "rate": 1.5, "gamma": 0.9, "learner_gamma": 0.8}
    game, key = enumerated(recurrent_logs), jax.random.key(0)
    found, exact = jax.jit(lambda: (lola.lookahead(*game, key, own, other, **settings), jax.grad(value)(own)))()
    for name in shapes:
        np.testing.assert_allclose(found[name], exact[name], atol=1e-10)


def sampled(batch):
    """(sample, evaluate) by play."""

    def sample(key, own, other):
        def step(joint, key):
            """`joint` of the round before; -1 at the start."""
            theirs = jnp.where(joint < 0, 0, 1 + GAME.swap(joint))
            draws = jax.random.uniform(key, (2, batch))
            mine, yours = draws[0] > jax.nn.sigmoid(own[1 + joint]), draws[1] > jax.nn.sigmoid(other[theirs])
            joint = GAME.joint(mine.astype(int), yours.astype(int))
            return joint, joint

        return jax.lax.scan(step, jnp.full(batch, -1), jax.random.split(key, GAME.rounds))[1]

    def evaluate(own, other, joint):
        logs = log_probabilities(own, other, joint)
        return lola.Course(logs, rewards_of(joint), jnp.zeros_like(logs))

    return sample, evaluate


def test_the_sampled_lookahead_agrees_with_the_exact_one():
    """To four standard errors in each coordinate; the naive gradient is further away."""
    own, other = (x.astype(jnp.float32) for x in players(3))
    settings = {"steps": 2, "rate": 1.0}
    game, repeats = sampled(512), 256

    def one(key):
        return lola.lookahead(*game, key, own, other, **settings, gamma=1.0, learner_gamma=1.0)

    found = np.asarray(jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(1), repeats)))
    error = found.std(0) / np.sqrt(repeats)
    exact = jax.jit(lambda: exact_gradients.lookahead(exact_values, own, other, **settings))()
    naive = jax.jit(lambda: exact_gradients.naive(exact_values, own, other))()
    assert np.abs((found.mean(0) - exact) / error).max() < 4
    assert np.abs((found.mean(0) - naive) / error).max() > 20


def test_every_update_is_made_of_trajectories_of_its_own():
    """The last play and each learning step: as many different keys."""
    used = []

    def sample(key, own, other):
        jax.debug.callback(lambda data: used.append(tuple(np.asarray(data).tolist())), jax.random.key_data(key))
        return sampled(4)[0](key, own, other)

    own, other = (x.astype(jnp.float32) for x in players(3))
    settings = {"steps": 3, "rate": 1.0, "gamma": 1.0, "learner_gamma": 1.0}
    jax.jit(lambda: lola.lookahead(sample, sampled(4)[1], jax.random.key(0), own, other, **settings))()
    jax.effects_barrier()
    assert len(set(used)) == 4
