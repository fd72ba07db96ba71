"""The parts of a gradient against the whole, its norm without bias, and one ratio by loops."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.experiments import coala_ipd
from coplayer.games.matrix import prisoners_dilemma
from coplayer.learning import coala
from coplayer.networks.actor_critic import ActorCritic
from coplayer.play.trajectory import JointActions
from coplayer.reproduce import gradient_balance
from coplayer.settings import adjust
from oracles import with_random_weights
from tiny import TINY_COALA

ROUNDS, STEPS = 2, 6
SETTINGS = adjust(
    TINY_COALA,
    game=prisoners_dilemma(ROUNDS),
    naive_share=1.0,
    meta_agents=1,
    methods=("coala",),
    inner_episodes=3,
    replicas=3,
    batch=3,
)
PAYOFFS = np.array([1.0, -1.0, 2.0, 0.0])
ESTIMATORS = {"coala": coala.COALA, "m_fos": coala.M_FOS, "batch_unaware": coala.BATCH_UNAWARE}

part_gradients = eqx.filter_jit(gradient_balance.part_gradients)


def network():
    return with_random_weights(lambda: ActorCritic(SETTINGS.game, 4, key=jax.random.key(0)), 0)


def logs_of(network, joint):
    """log pi of the actions taken, `[time, game]`, by the network's steps, START at each inner episode."""
    opens = (jnp.arange(STEPS) % ROUNDS == 0)[:, None]
    seen = jnp.where(opens, 0, 1 + jnp.concatenate([joint[:1], joint[:-1]]))

    def step(state, at):
        observation, action = at
        now = network.step(state, observation, network.no_identity(joint.shape[1]))
        both = jax.nn.log_softmax(now.outputs[:2], axis=0)
        return now.state, jnp.where(action == 0, both[0], both[1])

    return jax.lax.scan(step, network.initial_state(joint.shape[1]), (seen, joint // 2))[1]


def parts_by_loops(joint, method):
    """The weights of log pi in the formulas of J's gradient, `[time, replica, game]`: (current, future). Their sum over
    steps is made a mean, as in `part_gradients`.
    """
    rewards = PAYOFFS[joint]
    current, future = np.zeros(joint.shape), np.zeros(joint.shape)
    for t, r, b in np.ndindex(*joint.shape):
        end = ROUNDS * (t // ROUNDS + 1)
        current[t, r, b] = rewards[t:end, r, b].sum() / 3
        if method == "batch_unaware":
            future[t, r, b] = rewards[end:, r, b].sum() / 3  # a mean over the games
        else:
            future[t, r, b] = rewards[end:, r].sum() / 3
            future[t, r, b] /= 3 if method == "m_fos" else 1  # of which M-FOS takes a mean over the games again
    return current / (3 * STEPS), future / (3 * STEPS)  # of three replicas


@jax.jit
def gradient_by_hand(network, joint, weights):
    """Less the mean weight of each step, which has no part in the expectation."""
    weights = weights - weights.reshape(STEPS, -1).mean(1)[:, None, None]

    def objective(network):
        return (logs_of(network, joint.reshape(STEPS, -1)) * weights.reshape(STEPS, -1)).sum()

    return jax.grad(objective)(network)


def played(seed):
    """Joint actions of meta-trajectories, `[time, replica, game]`, in the agent's view."""
    return jnp.asarray(np.random.default_rng(seed).integers(4, size=(STEPS, 3, 3)))


@pytest.mark.parametrize("method", ESTIMATORS)
def test_the_parts_are_those_of_the_formulas_and_add_up_to_the_whole(method):
    joint, one = played(1), network()
    parts = part_gradients(SETTINGS, one, JointActions(joint, SETTINGS.game).view(0), method)
    by_hand = [
        gradient_by_hand(one, joint, jnp.asarray(weights, jnp.float32))
        for weights in parts_by_loops(np.asarray(joint), method)
    ]
    for found, expected in zip(parts, by_hand, strict=True):
        for left, right in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)
        assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected)) > 0.01
    rewards, none = jnp.asarray(PAYOFFS[np.asarray(joint)], jnp.float32), jnp.zeros((STEPS, 3))
    whole = jnp.stack(
        [
            coala.advantages(
                rewards[:, r],
                none,
                none[0],
                episode_length=ROUNDS,
                gamma=1.0,
                gae_lambda=1.0,
                switches=ESTIMATORS[method],
            )
            for r in range(3)
        ],
        axis=1,
    )
    scale = coala.policy_scale(ESTIMATORS[method], 3) / whole.size
    expected = gradient_by_hand(one, joint, scale * whole)
    total = jax.tree.map(jnp.add, *parts)
    for left, right in zip(jax.tree.leaves(total), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-3, atol=1e-5)


def test_the_squared_norm_has_no_bias():
    """A known mean under made-up noise that is much larger; the naive estimate is far off."""
    rng, leaves = np.random.default_rng(0), jax.tree.leaves(network())
    size, count, trials = sum(leaf.size for leaf in leaves), 5, 2000
    mean = rng.normal(size=size)
    noisy = mean + 3 * rng.normal(size=(trials, count, size))
    split = np.split(noisy, np.cumsum([leaf.size for leaf in leaves])[:-1], axis=2)
    estimates = np.array(
        [gradient_balance.squared_norm(gradient_balance.products(one)) for one in zip(*split, strict=True)]
    )
    for one, estimate in zip(noisy[:20], estimates, strict=False):
        pairs = [one[i] @ one[j] for i in range(count) for j in range(count) if i != j]
        assert estimate == pytest.approx(np.mean(pairs), rel=1e-3, abs=0.1)
    truth, error = (mean**2).sum(), estimates.std() / np.sqrt(trials)
    assert abs(estimates.mean() - truth) < 4 * error < 0.1 * truth
    assert (noisy.mean(1) ** 2).sum(1).mean() > 2 * truth


def test_the_error_of_a_ratio_is_the_spread_of_its_estimates():
    """Two gradients of known norms, 3 and 5, under noise that is independent from one estimate to the next."""
    rng, count, trials = np.random.default_rng(1), 40, 300

    def estimates(norm):
        noisy = norm / 5 + 0.5 * rng.normal(size=(trials, count, 25))
        return {"a": jnp.asarray(noisy[..., :10], jnp.float32), "b": jnp.asarray(noisy[..., 10:], jnp.float32)}

    over, under = estimates(3), estimates(5)
    found = [
        gradient_balance.ratio_of_norms(*({k: v[i] for k, v in side.items()} for side in (over, under)))
        for i in range(trials)
    ]
    values, errors = np.array(found).T
    assert values.mean() == pytest.approx(3 / 5, abs=4 * values.std() / np.sqrt(trials))
    assert errors.mean() == pytest.approx(values.std(), rel=0.15)
    one = [np.concatenate([side[k][0] for k in "ab"], axis=1).astype(float) for side in (over, under)]

    def by_loops(kept):
        squares = [np.mean([side[i] @ side[j] for i in kept for j in kept if i != j]) for side in one]
        return np.sqrt(squares[0] / squares[1])

    without = np.array([by_loops([i for i in range(count) if i != left]) for left in range(count)])
    expected = np.sqrt((count - 1) / count * ((without - without.mean()) ** 2).sum())
    assert found[0] == pytest.approx((by_loops(range(count)), expected), rel=1e-3)


def test_a_ratio_that_is_lost_in_the_noise_is_not_a_number():
    opposite = {"a": jnp.asarray([[1.0], [-1.0], [0.5]])}  # mean product below 0
    alike = {"a": jnp.ones((3, 1))}
    assert np.isnan(gradient_balance.ratio_of_norms(opposite, alike).value)
    assert gradient_balance.ratio_of_norms(alike, alike) == (1.0, 0.0)


def test_the_ratio_of_one_method_by_loops(monkeypatch):
    """From the very games that were played: every block's parts by hand, then products of two different blocks."""
    games, agent = [], network()
    plain = coala_ipd.shaping.play

    def seen(*given, **settings):
        trajectories = plain(*given, **settings)
        joint = 2 * trajectories.own.actions + trajectories.others.actions
        jax.debug.callback(lambda joint: games.append(np.asarray(joint)), joint, ordered=True)
        return trajectories

    monkeypatch.setattr(coala_ipd.shaping, "play", seen)
    gradient_balance._block.clear_cache()  # what was compiled before is not seen
    ratios = gradient_balance.balance(SETTINGS, agent, jax.random.key(4), blocks=4)
    jax.effects_barrier()
    gradient_balance._block.clear_cache()
    assert len(games) == 4 and ratios.keys() >= ESTIMATORS.keys()
    assert any((games[0] != joint).any() for joint in games[1:])
    for method in ("coala", "batch_unaware"):
        squares = []
        for part in range(2):
            flat = []
            for joint in games:
                weights = jnp.asarray(parts_by_loops(joint, method)[part], jnp.float32)
                gradient = gradient_by_hand(agent, jnp.asarray(joint), weights)
                flat.append(np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)]))
            squares.append(np.mean([flat[i] @ flat[j] for i in range(4) for j in range(4) if i != j]))
        current, future = squares
        expected = np.sqrt(future / current) if min(future, current) > 0 else np.nan
        assert ratios[method].value == pytest.approx(expected, rel=1e-2, abs=1e-3, nan_ok=True)
