"""The clipped losses by hand and against a loop; at the old policy, A2C's gradient; the order of minibatches;
updates by plain autodiff.
"""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from coplayer.errors import CoplayerError
from coplayer.games.matrix import prisoners_dilemma
from coplayer.learning import a2c, ppo
from coplayer.learning.optimisation import OptimiserSettings, bounded
from coplayer.networks.actor_critic import ActorCritic
from coplayer.networks.layers import pick
from oracles import softmax, with_random_weights

TIME, BATCH, ACTIONS = 4, (5, 2), 3  # five games, two replicas


def example(seed):
    """All of `ppo.losses`' arguments, the new policy a little away from the old one."""
    rng = np.random.default_rng(seed)
    logits, old_logits = rng.normal(size=(2, ACTIONS, TIME, *BATCH))
    actions = rng.integers(ACTIONS, size=(TIME, *BATCH))
    values, old_values, advantages, targets = rng.normal(size=(4, TIME, *BATCH))
    old_logs = np.zeros(actions.shape)
    for at in np.ndindex(*actions.shape):
        old_logs[at] = np.log(softmax(old_logits[(slice(None), *at)])[actions[at]])
    return logits, values, old_logs, old_values, actions, advantages, targets


def test_losses_against_a_loop():
    given = example(0)
    logits, values, old_logs, old_values, actions, advantages, targets = given
    ours = ppo.losses(*map(jnp.asarray, given), clip=0.2)
    sums, clipped = np.zeros(3), 0
    for at in np.ndindex(*actions.shape):
        policy = softmax(logits[(slice(None), *at)])
        ratio = policy[actions[at]] / np.exp(old_logs[at])
        gain = ratio * advantages[at]
        if ratio > 1.2 and advantages[at] > 0:
            gain, clipped = 1.2 * advantages[at], clipped + 1
        if ratio < 0.8 and advantages[at] < 0:
            gain, clipped = 0.8 * advantages[at], clipped + 1
        near = min(max(values[at], old_values[at] - 0.2), old_values[at] + 0.2)
        worst = max((values[at] - targets[at]) ** 2, (near - targets[at]) ** 2)
        sums += [-gain, worst, -(policy * np.log(policy)).sum()]
    np.testing.assert_allclose(ours, sums / actions.size, rtol=1e-4)
    assert 0 < clipped < actions.size


@pytest.mark.parametrize(
    ("probability", "advantage", "loss", "slope"),
    [
        (0.55, 2.0, -2.2, True),  # within the bounds
        (0.65, 2.0, -2.4, False),  # already 1.3 times as likely, and good: no more
        (0.65, -2.0, 2.6, True),  # more likely, and bad: all the way back
        (0.35, 2.0, -1.4, True),  # less likely, and good
        (0.35, -2.0, 1.6, False),  # already .7 times as likely, and bad: no less
    ],
)
def test_clipping_of_the_policy_by_hand(probability, advantage, loss, slope):
    """One step; the action had probability .5."""
    zero = jnp.zeros((1, 1))

    def policy_loss(logit):
        logits = jnp.stack([logit, jnp.zeros(())]).reshape(2, 1, 1)
        old = jnp.full((1, 1), jnp.log(0.5))
        return ppo.losses(logits, zero, old, zero, zero.astype(int), zero + advantage, zero, clip=0.2).policy

    found, gradient = jax.value_and_grad(policy_loss)(jnp.log(probability / (1 - probability)))
    assert float(found) == pytest.approx(loss, abs=1e-5)
    # d rho / d logit = p (1 - p) / .5
    expected = -advantage * probability * (1 - probability) / 0.5 if slope else 0.0
    assert float(gradient) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("value", "target", "loss", "slope"),
    [
        (1.1, 3.0, 1.9**2, -2 * 1.9),  # within the bounds of 1 +- .2
        (1.5, 3.0, 1.8**2, 0.0),  # beyond them, towards the target: no more
        (1.5, 0.0, 1.5**2, 3.0),  # beyond them, away from it: all the way back
        (0.5, 0.0, 0.8**2, 0.0),
    ],
)
def test_clipping_of_the_value_by_hand(value, target, loss, slope):
    """One step; its value was 1."""
    zero = jnp.zeros((1, 1))

    def value_loss(value):
        given = jnp.zeros((2, 1, 1)), value.reshape(1, 1), zero, zero + 1, zero.astype(int), zero, zero + target
        return ppo.losses(*given, clip=0.2).value

    found, gradient = jax.value_and_grad(value_loss)(jnp.asarray(value))
    assert float(found) == pytest.approx(loss, abs=1e-5)
    assert float(gradient) == pytest.approx(slope, abs=1e-5)


def test_at_the_old_policy_the_gradient_is_a2cs():
    """The three parts' gradients by logits and values; then the total's, by its coefficients."""
    rng = np.random.default_rng(1)
    logits, values = jnp.asarray(rng.normal(size=(ACTIONS, TIME, 5))), jnp.asarray(rng.normal(size=(TIME, 5)))
    actions, rewards = jnp.asarray(rng.integers(ACTIONS, size=(TIME, 5))), jnp.asarray(rng.normal(size=(TIME, 5)))
    loss = a2c.A2CSettings(gamma=1.0, gae_lambda=1.0, td_lambda=1.0, reward_scale=1.0, centred=False)
    returns = jnp.cumsum(rewards[::-1], axis=0)[::-1]
    old_logs = pick(jax.nn.log_softmax(logits, axis=0), actions)

    def ours(logits, new):
        return ppo.losses(logits, new, old_logs, values, actions, returns - values, returns, clip=0.2)

    def theirs(logits, new):
        return a2c.losses(logits, new, actions, rewards, jnp.zeros(5), 5, loss, gae_lambda=1.0, td_lambda=1.0)

    slopes = [jax.jacobian(losses, argnums=(0, 1))(logits, values) for losses in (ours, theirs)]
    for one, two in zip(*map(jax.tree.leaves, slopes), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)
    assert np.abs(slopes[0].policy[0]).max() > 1e-2
    coefficients = {"value_coefficient": 0.5, "entropy_coefficient": 0.1}
    total = jax.grad(lambda logits: ppo.total_loss(ours(logits, values), **coefficients))(logits)
    np.testing.assert_allclose(total, slopes[1].policy[0] - 0.1 * slopes[1].entropy[0], rtol=1e-4, atol=1e-6)


def test_every_replica_is_taken_once_an_epoch():
    order = np.asarray(ppo.minibatches(jax.random.key(0), 12, minibatches=3, epochs=4))
    assert order.shape == (4, 3, 4)
    for epoch in order:
        np.testing.assert_array_equal(np.sort(epoch.ravel()), np.arange(12))
    assert len({tuple(epoch.ravel()) for epoch in order}) == 4  # an order of its own
    other = ppo.minibatches(jax.random.key(1), 12, minibatches=3, epochs=4)
    assert np.any(order != np.asarray(other))


@pytest.mark.parametrize("count", [0, 5, 24])
def test_minibatches_must_divide_the_replicas(count):
    with pytest.raises(CoplayerError, match=f"minibatches: must divide the 12 replicas, got {count}"):
        ppo.minibatches(jax.random.key(0), 12, minibatches=count, epochs=1)


# Updates on whole trajectories.

GAME = prisoners_dilemma(3)
STEPS, REPLICAS, GAMES = 6, 4, 3
ONCE, BOUND = ppo.PPOSettings(epochs=1, minibatches=1, clip=0.2), 0.05
STEPPING = OptimiserSettings(max_gradient_norm=BOUND)


def network():
    return with_random_weights(lambda: ActorCritic(GAME, 3, key=jax.random.key(0)), 2)


def outputs_by_steps(network, observations):
    """Logits [action, time, game] and values [time, game], by the network's step and plain autodiff."""
    state, outputs = network.initial_state(observations.shape[1]), []
    for observation in observations:
        now = network.step(state, observation, network.no_identity(observations.shape[1]))
        state = now.state
        outputs.append(now.outputs)
    outputs = jnp.stack(outputs, axis=1)
    return outputs[:-1], outputs[-1]


def experience():
    """Meta-trajectories of two inner episodes, as `network` would have played them."""
    rng = np.random.default_rng(3)
    shape = (STEPS, REPLICAS, GAMES)
    observations, actions = jnp.asarray(rng.integers(5, size=shape)), jnp.asarray(rng.integers(2, size=shape))
    logits, values = outputs_by_steps(network(), observations.reshape(STEPS, -1))
    logs = pick(jax.nn.log_softmax(logits, axis=0), actions.reshape(STEPS, -1))
    advantages, targets = jnp.asarray(rng.normal(size=(2, *shape)), jnp.float32)
    return ppo.Experience(observations, actions, logs.reshape(shape), values.reshape(shape), advantages, targets)


improve = eqx.filter_jit(
    functools.partial(
        ppo.improve, value_coefficient=0.5, optimiser=STEPPING, entropy_coefficient=0.1, learning_rate=0.05
    )
)


def test_one_epoch_of_one_minibatch_is_one_step_of_policy_gradient():
    """The loss in its plain form: - log pi A + c_v (V - G)^2 - c_e H, means over all."""
    played, start = experience(), network()
    found, _, parts, norm = improve(start, bounded(STEPPING).init(start), played, ONCE, jax.random.key(0))

    @jax.jit
    @jax.grad
    def slope(network):
        logits, values = outputs_by_steps(network, played.observations.reshape(STEPS, -1))
        logs = jax.nn.log_softmax(logits, axis=0)
        own = jnp.where(played.actions.reshape(STEPS, -1) == 0, logs[0], logs[1])
        policy = -(own * played.advantages.reshape(STEPS, -1)).mean()
        entropy = -(jnp.exp(logs) * logs).sum(0).mean()
        return policy + 0.5 * ((values - played.targets.reshape(STEPS, -1)) ** 2).mean() - 0.1 * entropy

    slopes = [np.asarray(leaf, dtype=float) for leaf in jax.tree.leaves(slope(start))]
    expected_norm = np.sqrt(sum((leaf**2).sum() for leaf in slopes))
    assert float(norm) == pytest.approx(expected_norm, rel=1e-4) and expected_norm > 0.1
    for leaf, before, after in zip(slopes, jax.tree.leaves(start), jax.tree.leaves(found), strict=True):
        short = leaf * 0.05 / expected_norm
        np.testing.assert_allclose(np.asarray(after) - before, -0.05 * short / (np.abs(short) + 1e-5), atol=2e-4)
    assert float(parts.policy) == pytest.approx(-float(played.advantages.mean()), abs=1e-5)  # every ratio is 1


@pytest.mark.parametrize("segment", [0, 2])
def test_several_epochs_are_a_loop_over_their_minibatches(segment):
    settings = ppo.PPOSettings(epochs=3, minibatches=2, clip=0.2, segment=segment)
    played, now = experience(), network()
    key = jax.random.key(1)
    found, state, parts, norm = improve(now, bounded(STEPPING).init(now), played, settings, key)
    transform = optax.chain(optax.clip_by_global_norm(0.05), optax.adam(0.05, eps=1e-5))

    def loss(network, part):
        given = (part.log_probabilities, part.values, part.actions, part.advantages, part.targets)
        losses = ppo.losses(*outputs_by_steps(network, part.observations), *given, clip=0.2)
        return losses.policy + 0.5 * losses.value - 0.1 * losses.entropy, losses

    slope, expected_state, measured = jax.jit(jax.grad(loss, has_aux=True)), transform.init(now), []
    for epoch in ppo.minibatches(key, REPLICAS, minibatches=2, epochs=3):
        for replicas in epoch:
            part = ppo.Experience(*(jnp.concatenate([leaf[:, int(r)] for r in replicas], axis=1) for leaf in played))
            gradient, losses = slope(now, part)
            steps, expected_state = transform.update(gradient, expected_state)
            now = jax.tree.map(jnp.add, now, steps)
            measured.append((*losses, optax.tree.norm(gradient)))

    def numbers(network, state):
        """All weights in a row, and Adam's count and moments."""
        trees = (network, *(optax.tree.get(state, name) for name in ("count", "mu", "nu")))
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(trees)])

    np.testing.assert_allclose(numbers(found, state), numbers(now, expected_state), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose((*parts, norm), np.mean(measured, axis=0), rtol=1e-4)
    assert np.std([losses[0] for losses in measured]) > 0.01
