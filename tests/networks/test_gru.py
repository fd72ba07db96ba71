import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.networks.gru import GRU
from oracles import as_float64, gru_step, gru_weights, swish, with_random_weights

TIME, BATCH, INPUTS, HIDDEN = 7, 3, 5, 4


def leaves_of(gru):
    return gru.input_weights, gru.hidden_weights, gru.bias, gru.candidate_bias


def example(seed, time=TIME):
    """A GRU, an initial state and inputs."""
    rng = np.random.default_rng(seed)
    gru = with_random_weights(lambda: GRU(INPUTS, HIDDEN, key=jax.random.key(0)), seed)
    hidden, inputs = rng.normal(size=(BATCH, HIDDEN)), 2 * rng.normal(size=(time, BATCH, INPUTS))
    return gru, jnp.asarray(hidden, jnp.float32), jnp.asarray(inputs, jnp.float32)


def states_in_numpy(weights, hidden, inputs):
    """Every state [time, batch, hidden], one step of one sequence at a time."""
    states = np.zeros((len(inputs), *hidden.shape))
    for b in range(hidden.shape[0]):
        state = hidden[b]
        for t in range(len(inputs)):
            state = gru_step(weights, state, inputs[t, b])
            states[t, b] = state
    return states


def test_new_weights_are_uniform_in_the_usual_bound():
    gru = jax.jit(lambda: GRU(50, 25, key=jax.random.key(0)))()
    shapes = (gru.input_weights.shape, gru.hidden_weights.shape, gru.bias.shape, gru.candidate_bias.shape)
    assert shapes == ((50, 75), (25, 75), (75,), (25,))
    assert gru.hidden == 25
    entries = np.concatenate([np.ravel(x) for x in jax.tree.leaves(gru)])
    bound = 25**-0.5
    assert np.abs(entries).max() <= bound
    assert abs(entries.mean()) < 5 * bound / np.sqrt(3 * entries.size)
    np.testing.assert_allclose(entries.std(), bound / np.sqrt(3), rtol=0.05)
    assert len(np.unique(entries)) > 0.99 * entries.size  # no stream of numbers used twice


@pytest.mark.parametrize("seed", range(3))
def test_step_against_a_numpy_loop(seed):
    gru, hidden, inputs = example(seed)
    expected = [
        gru_step(gru_weights(gru), as_float64(h), as_float64(x)) for h, x in zip(hidden, inputs[0], strict=True)
    ]
    np.testing.assert_allclose(jax.jit(GRU.step)(gru, hidden, inputs[0]), expected, atol=1e-6)


def test_step_by_hand():
    """One input, one hidden unit: r = logistic(1), z = logistic(-1), n = tanh(.5 + r (2 * .3 + .1))."""
    gru = eqx.tree_at(
        leaves_of,
        with_random_weights(lambda: GRU(1, 1, key=jax.random.key(0)), 0),
        (jnp.array([[1.0, 0, 0.5]]), jnp.array([[0.0, 0, 0.3]]), jnp.array([0.0, -1, 0]), jnp.array([0.1])),
    )
    # r = .7310586, z = .2689414, n = tanh(1.0117410) = .7664812; h = .7310586 n + .2689414 * 2
    assert float(gru.step(jnp.array([[2.0]]), jnp.array([[1.0]]))[0, 0]) == pytest.approx(1.0982255, abs=1e-6)


@pytest.mark.parametrize("time", [1, TIME])
def test_sequence_is_repeated_step(time):
    gru, hidden, inputs = example(1, time)
    step, state, states = jax.jit(GRU.step), hidden, []
    for given in inputs:
        state = step(gru, state, given)
        states.append(state)
    out = jax.jit(GRU.states)(gru, hidden, inputs)
    np.testing.assert_allclose(out, jnp.stack(states), atol=1e-6)
    np.testing.assert_allclose(
        out, states_in_numpy(gru_weights(gru), as_float64(hidden), as_float64(inputs)), atol=2e-6
    )
    np.testing.assert_allclose(jax.jit(GRU.sequence)(gru, hidden, inputs), swish(as_float64(out)), atol=1e-6)
    np.testing.assert_allclose(gru.features(out), swish(as_float64(out)), atol=1e-6)


def gradients(gru, hidden, inputs, weights):
    """Gradients of sum(weights * states) by the custom backward pass, and by jax through a plain scan of `step`."""

    def custom(gru, hidden, inputs):
        return (weights * gru.states(hidden, inputs)).sum()

    def plain(gru, hidden, inputs):
        def step(state, given):
            state = gru.step(state, given)
            return state, state

        return (weights * jax.lax.scan(step, hidden, inputs)[1]).sum()

    return tuple(jax.jit(jax.grad(f, argnums=(0, 1, 2)))(gru, hidden, inputs) for f in (custom, plain))


@pytest.mark.parametrize("time", [1, TIME])
@pytest.mark.parametrize("seed", range(2))
def test_backward_pass_against_plain_reverse_mode(seed, time):
    gru, hidden, inputs = example(seed, time)
    weights = np.random.default_rng(100 + seed).normal(size=(time, BATCH, HIDDEN)).astype(np.float32)
    custom, plain = gradients(gru, hidden, inputs, weights)
    assert len(jax.tree.leaves(custom)) == 6
    for ours, theirs in zip(jax.tree.leaves(custom), jax.tree.leaves(plain), strict=True):
        assert np.abs(theirs).max() > 1e-2
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_backward_pass_of_the_last_state_only():
    gru, hidden, inputs = example(2)
    weights = jnp.zeros((TIME, BATCH, HIDDEN)).at[-1].set(1.0)
    custom, plain = gradients(gru, hidden, inputs, weights)
    for ours, theirs in zip(jax.tree.leaves(custom), jax.tree.leaves(plain), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_backward_pass_under_vmap():
    """A population of networks, each with its own data."""
    members = [example(seed) for seed in range(2)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *members)
    gradient = jax.grad(lambda gru, hidden, inputs: (gru.states(hidden, inputs) ** 2).sum())
    together, gradient = jax.jit(jax.vmap(gradient))(*stacked), jax.jit(gradient)
    for i, member in enumerate(members):
        alone = gradient(*member)
        for ours, theirs in zip(jax.tree.leaves(together), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(ours[i], theirs, rtol=1e-4, atol=1e-5)


def test_backward_pass_against_finite_differences():
    """In float64; the differences are of the numpy loop, which shares nothing with the network."""
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        time, batch, inputs, hidden = 4, 2, 2, 3
        leaves = [rng.normal(size=s) for s in [(inputs, 3 * hidden), (hidden, 3 * hidden), (3 * hidden,), (hidden,)]]
        leaves += [rng.normal(size=(batch, hidden)), rng.normal(size=(time, batch, inputs))]
        cotangent = rng.normal(size=(time, batch, hidden))
        gru = with_random_weights(lambda: GRU(inputs, hidden, key=jax.random.key(0)), 0)
        gru = eqx.tree_at(leaves_of, gru, tuple(jnp.asarray(x) for x in leaves[:4]))

        def value(gru, hidden, inputs):
            return (cotangent * gru.states(hidden, inputs)).sum()

        gradient = jax.jit(jax.grad(value, argnums=(0, 1, 2)))(gru, jnp.asarray(leaves[4]), jnp.asarray(leaves[5]))
        ours = [np.asarray(x) for x in (*leaves_of(gradient[0]), *gradient[1:])]
    assert all(x.dtype == np.float64 for x in ours)

    def in_numpy(leaves):
        return (cotangent * states_in_numpy(leaves[:4], leaves[4], leaves[5])).sum()

    step = 1e-6
    for i, leaf in enumerate(leaves):
        for at in np.ndindex(leaf.shape):
            values = []
            for sign in (1, -1):
                moved = [x.copy() for x in leaves]
                moved[i][at] += sign * step
                values.append(in_numpy(moved))
            assert ours[i][at] == pytest.approx((values[0] - values[1]) / (2 * step), rel=1e-6, abs=1e-8)


def test_column_step_is_step_with_the_batch_last():
    gru, hidden, inputs = example(3)
    state, gates = jax.jit(GRU.column_step)(gru, hidden.T, inputs[0].T)
    np.testing.assert_allclose(state.T, jax.jit(GRU.step)(gru, hidden, inputs[0]), atol=1e-6)
    assert all(gate.shape == (HIDDEN, BATCH) for gate in gates)


def test_backward_of_a_column_step_against_plain_reverse_mode():
    gru, hidden, inputs = example(4)
    bar = jnp.asarray(np.random.default_rng(5).normal(size=(HIDDEN, BATCH)), jnp.float32)

    def both(gru, hidden, inputs):
        gates = gru.column_step(hidden, inputs)[1]
        _, vjp = jax.vjp(lambda gru, hidden: gru.column_step(hidden, inputs)[0], gru, hidden)
        return gru.column_step_backward(bar, hidden, inputs, gates), vjp(bar)

    ours, theirs = jax.jit(both)(gru, hidden.T, inputs[0].T)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.abs(other).max() > 1e-2
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
