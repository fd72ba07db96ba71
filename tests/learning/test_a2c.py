"""The loss against loops, the update by hand, the gradient against enumeration of every course of a short game."""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.learning import a2c, optimisation
from coplayer.learning.a2c import A2CSettings
from coplayer.learning.optimisation import OptimiserSettings
from coplayer.networks.actor_critic import ActorCritic
from oracles import ActorCriticOracle, softmax, with_random_weights

LOSS = A2CSettings(
    gamma=0.9, gae_lambda=0.8, td_lambda=0.6, reward_scale=0.5, value_coefficient=0.7, entropy_coefficient=0.1
)
UPDATING = a2c.Updating(LOSS, OptimiserSettings(learning_rate=0.1), iterations=10)
ROUNDS, BATCH, SPLIT = 4, 5, 2


def updating_with(**changes):
    """`UPDATING` with other settings of the loss."""
    return UPDATING._replace(loss=dataclasses.replace(LOSS, **changes))


def losses_with(loss, *given):
    """The loss's parts, with the lambdas of the settings."""
    return a2c.losses(*given, SPLIT, loss, gae_lambda=loss.gae_lambda, td_lambda=loss.td_lambda)


def example(seed, actions=3):
    rng = np.random.default_rng(seed)
    logits, values = rng.normal(size=(actions, ROUNDS, BATCH)), rng.normal(size=(ROUNDS, BATCH))
    chosen, rewards = rng.integers(actions, size=(ROUNDS, BATCH)), rng.normal(size=(ROUNDS, BATCH))
    end = rng.normal(size=BATCH)
    return jnp.asarray(logits), jnp.asarray(values), jnp.asarray(chosen), jnp.asarray(rewards), jnp.asarray(end)


def advantages_in_numpy(values, rewards, end, loss, lambda_):
    """[rounds, batch], not centred, by double sums."""
    values = np.concatenate([values, end[None]])
    errors, decay = loss.reward_scale * rewards + loss.gamma * values[1:] - values[:-1], loss.gamma * lambda_
    return np.array([sum(decay ** (k - t) * errors[k] for k in range(t, ROUNDS)) for t in range(ROUNDS)])


@pytest.mark.parametrize("split", [1, SPLIT, BATCH])
def test_advantages_are_centred_separately_by_the_kind_of_co_player(split):
    advantages = np.random.default_rng(0).normal(size=(ROUNDS, BATCH)) + 3 * (np.arange(BATCH) < split)
    ours = np.asarray(a2c.centre(jnp.asarray(advantages), split))
    for kind in (range(split), range(split, BATCH)):
        if len(kind):
            mean = sum(advantages[t, b] for t in range(ROUNDS) for b in kind) / (ROUNDS * len(kind))
            for b in kind:
                np.testing.assert_allclose(ours[:, b], advantages[:, b] - mean, atol=1e-5)


@pytest.mark.parametrize("split", [1, SPLIT, BATCH])
def test_advantages_are_divided_by_their_deviation_separately_or_by_the_least(split):
    spread = np.where(np.arange(BATCH) < split, 0.1, 3.0)
    advantages = spread * np.random.default_rng(0).normal(size=(ROUNDS, BATCH))
    ours = np.asarray(a2c.normalise(jnp.asarray(advantages), split, 0.7))
    np.testing.assert_allclose(ours[:, :split], advantages[:, :split] / 0.7, rtol=1e-5)
    if split < BATCH:
        others = advantages[:, split:]
        deviation = np.sqrt(((others - others.mean()) ** 2).mean())
        assert deviation > 0.7
        np.testing.assert_allclose(ours[:, split:], others / deviation, rtol=1e-5)


@pytest.mark.parametrize(("centred", "normalised"), [(True, False), (False, False), (True, True)])
def test_losses_against_a_loop(centred, normalised):
    logits, values, actions, rewards, end = (np.asarray(x) for x in example(1))
    loss = dataclasses.replace(LOSS, centred=centred, normalised=normalised)
    ours = losses_with(loss, *example(1))
    advantages = advantages_in_numpy(values, rewards, end, loss, loss.gae_lambda)
    targets = values + advantages_in_numpy(values, rewards, end, loss, loss.td_lambda)
    if centred:
        advantages[:, :SPLIT] -= advantages[:, :SPLIT].mean()
        advantages[:, SPLIT:] -= advantages[:, SPLIT:].mean()
    if normalised:
        advantages[:, :SPLIT] /= max(advantages[:, :SPLIT].std(), loss.reward_scale)
        advantages[:, SPLIT:] /= max(advantages[:, SPLIT:].std(), loss.reward_scale)
    sums = np.zeros(3)
    for t, b in np.ndindex(ROUNDS, BATCH):
        policy = softmax(logits[:, t, b])
        sums[0] -= np.log(policy[actions[t, b]]) * advantages[t, b]
        sums[1] += (values[t, b] - targets[t, b]) ** 2
        sums[2] -= (policy * np.log(policy)).sum()
    np.testing.assert_allclose(ours, sums / (ROUNDS * BATCH), rtol=1e-4)


def test_advantages_and_targets_are_held_constant():
    logits, values, *others = example(2)
    slope = jax.grad(lambda v: losses_with(LOSS, logits, v, *others).policy)(values)
    assert not np.any(slope)
    slope = jax.grad(lambda v: losses_with(LOSS, logits, v, *others).value)(values)
    targets = values + advantages_in_numpy(values, *others[1:], LOSS, LOSS.td_lambda)
    np.testing.assert_allclose(slope, 2 * (values - targets) / (ROUNDS * BATCH), rtol=1e-4, atol=1e-6)


# A game of two rounds between two networks, every course of which is enumerated.

GAME = MatrixGame([[1.0, -1.0], [2.0, 0.3]], rounds=2)
COURSES = np.array(list(itertools.product(range(4), repeat=GAME.rounds))).T  # [rounds, 16]
HIDDEN = 3


def network(seed, *, value=True):
    drawn = with_random_weights(lambda: ActorCritic(GAME, HIDDEN, key=jax.random.key(0)), seed)
    if value:
        return drawn
    zero = drawn.head_weights.at[-1].set(0.0), drawn.head_bias.at[-1].set(0.0)
    return eqx.tree_at(lambda n: (n.head_weights, n.head_bias), drawn, zero)


def courses_in_numpy(own, other):
    """(probability, return) of every course, for two `ActorCriticOracle`s."""
    for course in COURSES.T:
        chance, mine, theirs = 1.0, own.start(), other.start()
        for joint in course:
            a, b = divmod(int(joint), 2)
            chance *= own.policy(mine)[a] * other.policy(theirs)[b]
            mine, theirs = own.after(mine, a, b), other.after(theirs, b, a)
        yield chance, sum(np.ravel(GAME.tables[0])[joint] for joint in course)


def batch_of(network, joint):
    """The batch that played `joint`, one column an episode."""
    observations = jnp.concatenate([jnp.full((1, joint.shape[1]), START), observe(joint[:-1])])
    identity = network.no_identity(joint.shape[1])

    def step(state, observation):
        now = network.step(state, observation, identity)
        return now.state, now

    trace = jax.lax.scan(step, network.initial_state(joint.shape[1]), observations)[1]
    return a2c.Batch(GAME.own_action(joint), GAME.reward(joint), observe(joint[-1]), identity, trace)


def expected_gradient(learner, chances, updating):
    """Mean of the estimate over all courses, each a batch of its own."""

    @jax.jit
    def one(course):
        batch = batch_of(learner, course[:, None])
        return a2c.gradient(learner, batch, 1, updating, jnp.asarray(0))[0]

    gradients = [one(jnp.asarray(course)) for course in COURSES.T]
    return jax.tree.map(
        lambda *leaves: sum(c * np.asarray(leaf) for c, leaf in zip(chances, leaves, strict=True)), *gradients
    )


def slope_in_numpy(learner, value_of):
    """Central differences of value_of(oracle) by every weight of the learner's oracle, in its leaves' order."""
    oracle, step = ActorCriticOracle(learner), 1e-6
    slopes = []
    for leaf in (*oracle.gru, oracle.weights, oracle.bias):
        slope = np.zeros_like(leaf)
        for at in np.ndindex(leaf.shape):
            kept, values = leaf[at], []
            for sign in (1, -1):
                leaf[at] = kept + sign * step
                values.append(value_of(oracle))
            leaf[at] = kept
            slope[at] = (values[0] - values[1]) / (2 * step)
        slopes.append(slope)
    return slopes


@pytest.mark.parametrize("value", [False, True], ids=["no baseline", "a baseline"])
def test_mean_gradient_is_that_of_the_enumerated_return(value):
    """Undiscounted, lambda 1, not centred: then the estimate is unbiased, whatever the value of a state is said to be.
    The loss is a mean over rounds, of minus the return.
    """
    learner, other = network(0, value=value), ActorCriticOracle(network(1))
    updating = updating_with(
        gamma=1.0,
        gae_lambda=1.0,
        td_lambda=1.0,
        reward_scale=1.0,
        centred=False,
        value_coefficient=0.0,
        entropy_coefficient=0.0,
    )
    chances = [chance for chance, _ in courses_in_numpy(ActorCriticOracle(learner), other)]
    assert sum(chances) == pytest.approx(1)
    ours = expected_gradient(learner, chances, updating)
    expected = slope_in_numpy(learner, lambda own: sum(p * g for p, g in courses_in_numpy(own, other)))
    leaves = jax.tree.leaves(ours)
    assert [leaf.shape for leaf in leaves] == [slope.shape for slope in expected]
    for leaf, slope in zip(leaves, expected, strict=True):
        assert np.abs(slope).max() > 1e-2
        np.testing.assert_allclose(-GAME.rounds * leaf, slope, rtol=1e-3, atol=1e-5)


def test_gradient_of_value_and_entropy_against_finite_differences():
    """One course, lambda 1, the advantages' part removed by rewards of 0 and a value of 0 in the estimate's place."""
    learner, course = network(2), COURSES[:, 6]
    updating = updating_with(gamma=1.0, gae_lambda=1.0, td_lambda=1.0, reward_scale=1.0, entropy_coefficient=0.4)
    joint = jnp.asarray(course)[:, None]
    batch = batch_of(learner, joint)._replace(rewards=jnp.zeros(joint.shape))
    ours, parts = jax.jit(lambda: a2c.gradient(learner, batch, 1, updating, jnp.asarray(0)))()
    start = ActorCriticOracle(learner)
    fixed = np.array([-start.value(state) for state in states_of(start, course)])
    fixed -= fixed.mean()

    def loss(oracle):
        total = 0.0
        for t, state in enumerate(states_of(oracle, course)):
            policy = oracle.policy(state)
            total -= np.log(policy[course[t] // 2]) * fixed[t]
            total += 0.7 * oracle.value(state) ** 2 + 0.4 * (policy * np.log(policy)).sum()
        return total / GAME.rounds

    for leaf, slope in zip(jax.tree.leaves(ours), slope_in_numpy(learner, loss), strict=True):
        np.testing.assert_allclose(leaf, slope, rtol=1e-3, atol=1e-5)
    assert float(parts.policy + 0.7 * parts.value - 0.4 * parts.entropy) == pytest.approx(loss(start), abs=1e-5)


@pytest.mark.parametrize("bootstrap", [True, False])
def test_bootstrapping_takes_the_value_after_the_last_round_for_what_lies_beyond(bootstrap):
    learner = network(3)
    oracle, batch = ActorCriticOracle(learner), batch_of(learner, jnp.asarray(COURSES))
    beyond = []
    for course in COURSES.T:
        state = oracle.start()
        for joint in course:
            state = oracle.after(state, *divmod(int(joint), 2))
        beyond.append(oracle.value(state))
    assert np.ptp(beyond) > 0.1
    np.testing.assert_allclose(a2c.value_beyond(learner, batch), beyond, atol=1e-5)
    updating = updating_with(bootstrap=bootstrap)
    split = COURSES.shape[1]
    _, ours = a2c.gradient(learner, batch, split, updating, jnp.asarray(0))
    logits, values = learner.unroll(batch.trace.observation)
    end, lambdas = jnp.asarray(beyond) * bootstrap, {"gae_lambda": LOSS.gae_lambda, "td_lambda": LOSS.td_lambda}
    expected = a2c.losses(logits, values, batch.actions, batch.rewards, end, split, updating.loss, **lambdas)
    np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-6)


def test_both_lambdas_rise_to_one():
    rising = updating_with(lambda_iterations=4)
    lambdas = [tuple(map(float, optimisation.lambdas(rising.loss, "linear", at))) for at in jnp.arange(6)]
    expected = [(0.8, 0.6), (0.85, 0.7), (0.9, 0.8), (0.95, 0.9), (1.0, 1.0), (1.0, 1.0)]
    np.testing.assert_allclose(lambdas, expected, atol=1e-6)
    assert optimisation.lambdas(UPDATING.loss, "linear", jnp.asarray(3)) == (0.8, 0.6)
    later = dataclasses.replace(rising.loss, lambda_from=2)
    np.testing.assert_allclose(optimisation.lambdas(later, "linear", jnp.asarray(3)), (0.85, 0.7), atol=1e-6)
    assert optimisation.lambdas(later, "linear", jnp.asarray(2)) == pytest.approx((0.8, 0.6))
    learner = network(3)
    batch = jax.jit(batch_of)(learner, jnp.asarray(COURSES))
    state = optimisation.new_state(learner, UPDATING.optimiser)
    by_hand = updating_with(gae_lambda=0.9, td_lambda=0.8)
    _, parts, norm = jax.jit(lambda: a2c.update(state, batch, 7, rising, jnp.asarray(2)))()
    _, parts_by_hand, norm_by_hand = jax.jit(lambda: a2c.update(state, batch, 7, by_hand, jnp.asarray(2)))()
    np.testing.assert_allclose((*parts, norm), (*parts_by_hand, norm_by_hand), rtol=1e-4)
    _, other, _ = jax.jit(lambda: a2c.update(state, batch, 7, rising, jnp.asarray(0)))()
    assert abs(float(other.policy - parts.policy)) > 1e-4
    assert abs(float(other.value - parts.value)) > 1e-4


def states_of(oracle, course):
    """The state before each action of a course."""
    state = oracle.start()
    for joint in course:
        yield state
        state = oracle.after(state, *divmod(int(joint), 2))


@pytest.mark.parametrize("bound", [0.01, 100.0])
def test_first_update_by_hand(bound):
    """Adam's first step is -rate * g / (|g| + eps), g the gradient after its norm is bounded. Rate and entropy
    coefficient are those of the iteration.
    """
    learner = network(3)
    optimiser = OptimiserSettings(learning_rate=0.01, learning_rate_end=0.0, max_gradient_norm=bound)
    loss = dataclasses.replace(LOSS, entropy_coefficient=0.2, entropy_end=0.0)
    updating = a2c.Updating(loss, optimiser, iterations=4)
    batch = jax.jit(batch_of)(learner, jnp.asarray(COURSES))
    state = optimisation.new_state(learner, optimiser)
    new, _, norm = jax.jit(lambda: a2c.update(state, batch, 7, updating, jnp.asarray(1)))()
    constant = updating_with(entropy_coefficient=0.15)
    slope, _ = jax.jit(lambda: a2c.gradient(learner, batch, 7, constant, jnp.asarray(0)))()
    leaves = [np.asarray(leaf, dtype=float) for leaf in jax.tree.leaves(slope)]
    expected_norm = np.sqrt(sum((leaf**2).sum() for leaf in leaves))
    assert float(norm) == pytest.approx(expected_norm, rel=1e-4)
    for leaf, before, after in zip(leaves, jax.tree.leaves(learner), jax.tree.leaves(new.network), strict=True):
        bounded = leaf * min(1.0, bound / expected_norm)
        moved = 0.0075 * bounded / (np.abs(bounded) + 1e-5)
        np.testing.assert_allclose(np.asarray(after) - before, -moved, atol=2e-6)
