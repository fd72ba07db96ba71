"""Hawk against itself in its other forms: whole sequences against steps, both scans, starts against new sequences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.networks import hawk
from coplayer.networks.hawk import Hawk
from oracles import with_random_weights

TIME, BATCH, INPUTS, WIDTH = 11, 3, 5, 4


def example(seed, parallel=False, blocks=2):
    """A Hawk with random weights, and inputs."""
    rng = np.random.default_rng(seed)
    build = lambda: Hawk(INPUTS, WIDTH, blocks=blocks, parallel=parallel, key=jax.random.key(0))  # noqa: E731
    return with_random_weights(build, seed), jnp.asarray(rng.normal(size=(TIME, BATCH, INPUTS)), jnp.float32)


def some_starts(seed):
    return jnp.asarray(np.random.default_rng(seed).random((TIME, BATCH)) < 0.3)


@jax.jit
def by_steps(network, state, inputs):
    """Features after each input, and the last state."""

    def step(state, inputs):
        state = network.step(state, inputs)
        return state, network.features(state)

    state, features = jax.lax.scan(step, state, inputs)
    return features, state


sequence = jax.jit(lambda network, state, inputs, starts=None: network.sequence(state, inputs, starts))


def close(one, other, atol=1e-5, rtol=1e-4):
    for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert np.abs(right).max() > 1e-3
        np.testing.assert_allclose(left, right, atol=atol, rtol=rtol)


@pytest.mark.parametrize("parallel", [False, True])
def test_a_sequence_is_its_steps(parallel):
    network, inputs = example(0, parallel)
    start = network.initial_state(BATCH)
    features, _ = by_steps(network, start, inputs)
    assert features.shape == (TIME, BATCH, WIDTH)
    close(sequence(network, start, inputs), features)


@pytest.mark.parametrize("cut", [1, 7])
def test_a_sequence_goes_on_from_any_state(cut):
    network, inputs = example(1)
    features, _ = by_steps(network, network.initial_state(BATCH), inputs)
    _, state = by_steps(network, network.initial_state(BATCH), inputs[:cut])
    close(sequence(network, state, inputs[cut:]), features[cut:])


@pytest.mark.parametrize("parallel", [False, True])
def test_a_start_is_a_new_sequence(parallel):
    """The same as steps whose state is set back to the initial one."""
    network, inputs = example(2, parallel)
    starts = some_starts(2).at[5:7, 0].set(True)  # two in a row
    first = network.initial_state(BATCH)
    _, state = by_steps(network, first, inputs[::-1])
    assert not starts[0].all() and starts.any(1).sum() > 3

    @jax.jit
    def with_resets(state):
        def step(state, at):
            inputs, start = at

            def reset(one, other):
                return jnp.where(start.reshape(-1, *[1] * (one.ndim - 1)), one, other)

            state = network.step(jax.tree.map(reset, first, state), inputs)
            return state, network.features(state)

        return jax.lax.scan(step, state, (inputs, starts))[1]

    close(sequence(network, state, inputs, starts), with_resets(state))


def test_both_scans_have_the_same_gradients():
    weights = jnp.asarray(np.random.default_rng(3).normal(size=(TIME, BATCH, WIDTH)), jnp.float32)

    @jax.jit
    @jax.grad
    def gradient(network_and_inputs, state):
        network, inputs = network_and_inputs
        return (weights * network.sequence(state, inputs, some_starts(4))).sum()

    results = []
    for parallel in (False, True):
        network, inputs = example(3, parallel)
        state = by_steps(network, network.initial_state(BATCH), inputs)[1]
        results.append(gradient((network, inputs), state))
    close(*results, atol=1e-4)


def test_the_square_root_s_derivative_is_bounded():
    slope = jax.vmap(jax.grad(hawk.bounded_sqrt))(jnp.array([0.0, 1e-9, 2.5e-7, 0.01, 4.0]))
    np.testing.assert_allclose(slope, [1000, 1000, 1000, 5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(hawk.bounded_sqrt(jnp.array([0.0, 4.0])), [0, 2])
