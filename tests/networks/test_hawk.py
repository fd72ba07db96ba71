"""Hawk against numbers that the package `recurrentgemma` made (see make_hawk_reference.py). Hawk also against itself in
its other forms: whole sequences against steps, both scans, starts against new sequences.
"""

from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.networks import hawk
from coplayer.networks.hawk import Hawk
from oracles import with_random_weights

TIME, BATCH, INPUTS, WIDTH = 11, 3, 5, 4
REFERENCE = np.load(Path(__file__).with_name("hawk_reference.npz"))


@pytest.fixture(scope="module", autouse=True)
def optimised():
    """Accuracy is judged of programs as users run them."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


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


def theirs(unit, what):
    """An array of the reference; those with rows have time first, as ours."""
    array = jnp.asarray(REFERENCE[f"{unit}/{what}"])
    return jnp.swapaxes(array, 0, 1) if what in ("rows", "cotangent", "outputs", "rows_bar", "starts") else array


def unit_of(what, unit="unit", path=""):
    """The reference's RG-LRU, or gradient by it, as one of ours."""

    def leaf(name):
        return theirs(unit, f"{what}{path}{name}")

    return eqx.tree_at(
        lambda u: (u.decay, u.input_gate.weights, u.input_gate.bias, u.decay_gate.weights, u.decay_gate.bias),
        jax.eval_shape(lambda: hawk.RGLRU(6, 2, key=jax.random.key(0))),
        tuple(map(leaf, ("['a_param']", *(f"['{gate}_gate']['{x}']" for gate in ("input", "a") for x in "wb")))),
    )


def block_of(what):
    """The reference's residual block, or gradient by it, as one of ours."""
    recurrent, mlp = "['recurrent_block']", "['mlp_block']"

    def leaf(name):
        return theirs("block", what + name)

    linears = (
        f"{recurrent}['linear_x']",
        f"{recurrent}['linear_y']",
        f"{recurrent}['linear_out']",
        f"{mlp}['ffw_down']",
    )
    up, up_bias = leaf(f"{mlp}['ffw_up']['w']"), leaf(f"{mlp}['ffw_up']['b']").reshape(2, -1)
    return eqx.tree_at(
        lambda b: (
            *(x for n in (b.linear_x, b.linear_y, b.linear_out, b.mlp_down) for x in (n.weights, n.bias)),
            *(b.mlp_gate.weights, b.mlp_gate.bias, b.mlp_up.weights, b.mlp_up.bias),
            *(b.convolution.weights, b.convolution.bias, b.recurrent_norm.scale, b.mlp_norm.scale, b.lru),
        ),
        jax.eval_shape(lambda: hawk.Block(6, 2, key=jax.random.key(0))),
        (
            *(leaf(f"{name}['{x}']") for name in linears for x in ("kernel", "bias")),
            *(up[0], up_bias[0], up[1], up_bias[1]),
            *(leaf(f"{recurrent}['conv_1d']['{x}']") for x in "wb"),
            *(leaf(f"['{which}_pre_norm']['scale']") for which in ("temporal", "channel")),
            unit_of(what, "block", f"{recurrent}['rg_lru']"),
        ),
    )


def check_against_reference(unit, run, arguments, expected):
    """Outputs of `run(*arguments)`, and the gradients of their product with the reference's cotangent."""

    @jax.jit
    def with_gradients(arguments, cotangent):
        outputs, pull_back = jax.vjp(run, *arguments)
        return outputs, pull_back(cotangent)

    outputs, bars = with_gradients(arguments, theirs(unit, "cotangent"))
    outputs_there = theirs(unit, "outputs")
    np.testing.assert_allclose(outputs, outputs_there, rtol=2e-5, atol=2e-6 * np.abs(outputs_there).max())
    assert jax.tree.structure(bars) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(bars), jax.tree.leaves(expected), strict=True):
        assert np.abs(other).max() > 0.1
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=5e-6 * np.abs(other).max())


def test_the_recurrence_against_recurrentgemma():
    """From a state that is not 0, with starts, and with a channel that forgets nothing."""
    starts = theirs("unit", "starts")
    assert starts.any() and not starts[0].any()
    check_against_reference(
        "unit",
        lambda unit, rows, hidden: unit.sequence(hidden, rows, starts),
        (unit_of("weights"), theirs("unit", "rows"), theirs("unit", "more['cache']")),
        (unit_of("bar"), theirs("unit", "rows_bar"), theirs("unit", "more_bar['cache']")),
    )


def test_the_block_against_recurrentgemma():
    starts = theirs("block", "starts")
    assert starts[0].all() and starts[1:].any()
    check_against_reference(
        "block",
        lambda block, rows: block.sequence(block.initial_state(rows.shape[1]), rows, starts),
        (block_of("weights"), theirs("block", "rows")),
        (block_of("bar"), theirs("block", "rows_bar")),
    )


def test_new_weights_are_those_of_the_paper():
    """Normal with variance scale / fan-in, biases and norms' scales 0, and the range of a."""
    network = Hawk(50, 64, heads=4, key=jax.random.key(0))
    block = network.blocks[0]
    for weights, deviation in (
        (network.embedding.weights, 50**-0.5),
        *((linear.weights, 1 / 8) for linear in (block.linear_x, block.linear_y, block.linear_out)),
        *((linear.weights, 1 / 8) for linear in (block.mlp_gate, block.mlp_up, block.mlp_down)),
        (block.lru.input_gate.weights, 1 / 4),
        (block.lru.decay_gate.weights, 1 / 4),
        (block.convolution.weights, 0.05),
    ):
        assert np.std(weights) == pytest.approx(deviation, rel=4 / np.sqrt(2 * weights.size))
        assert abs(np.mean(weights)) < 4 * deviation / np.sqrt(weights.size)
    numbers = [np.ravel(leaf) for leaf in jax.tree.leaves(network)]
    zeros = sum(leaf.size for leaf in numbers if not leaf.any())
    assert zeros == 64 * (1 + 6 + 1 + 2 + 2 + 1)  # embedding, linears, convolution, gates, block's norms, last norm
    assert len(np.unique(np.concatenate(numbers))) > 0.99 * (sum(leaf.size for leaf in numbers) - zeros)
    slowest = np.exp(-np.log1p(np.exp(np.asarray(block.lru.decay, np.float64))))  # a where g = 1 / 8
    assert 0.9 < slowest.min() < 0.92 and 0.98 < slowest.max() < 0.999
    uniform = np.sort((slowest**2 - 0.9**2) / (0.999**2 - 0.9**2))
    assert np.abs(uniform - (np.arange(64) + 0.5) / 64).max() < 0.2


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


@pytest.mark.parametrize(("backend", "chosen"), [("cpu", "linear_scan"), ("gpu", "linear_scan_parallel")])
def test_the_scan_is_that_of_the_device_unless_it_is_said(backend, chosen, monkeypatch):
    called = []
    for name in ("linear_scan", "linear_scan_parallel"):
        plain = getattr(hawk, name)
        monkeypatch.setattr(hawk, name, lambda *given, name=name, plain=plain: called.append(name) or plain(*given))
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    network = Hawk(INPUTS, WIDTH, key=jax.random.key(0))
    jax.eval_shape(lambda inputs: network.sequence(network.initial_state(BATCH), inputs), jnp.zeros((2, BATCH, INPUTS)))
    assert called == [chosen]


@pytest.mark.parametrize("length", [TIME, 200, 6400])
def test_both_scans_have_the_same_values_and_gradients(length):
    """Long sequences are of channels that forget little, or next to nothing, and have a single start."""
    rng, shape = np.random.default_rng(3), (length, BATCH, WIDTH)
    weights, hidden = rng.normal(size=shape), rng.normal(size=(BATCH, WIDTH))
    rows = jnp.asarray(rng.normal(size=shape), jnp.float32)
    starts = some_starts(4) if length == TIME else jnp.zeros((length, BATCH), bool).at[length // 2, 0].set(True)
    results = []
    for parallel in (False, True):
        build = lambda parallel=parallel: hawk.RGLRU(WIDTH, 2, parallel=parallel, key=jax.random.key(0))  # noqa: E731
        unit = with_random_weights(build, 3)
        if length != TIME:
            unit = eqx.tree_at(lambda unit: unit.decay, unit, jnp.array([-1.0, -4.0, -8.0, -12.0]))

        def value(arguments):
            unit, hidden, rows = arguments
            states = unit.sequence(hidden, rows, starts)
            return (weights * states).sum(), states

        (_, states), slope = jax.jit(jax.value_and_grad(value, has_aux=True))(
            (unit, jnp.asarray(hidden, jnp.float32), rows)
        )
        results.append((states, jax.tree.leaves(slope)))
    close(*results)


def test_the_square_root_s_derivative_is_bounded():
    slope = jax.vmap(jax.grad(hawk.bounded_sqrt))(jnp.array([0.0, 1e-9, 2.5e-7, 0.01, 4.0]))
    np.testing.assert_allclose(slope, [1000, 1000, 1000, 5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(hawk.bounded_sqrt(jnp.array([0.0, 4.0])), [0, 2])
