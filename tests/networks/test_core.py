"""Cores by name, and that all of them keep to what models ask of a core."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.networks.core import CORES, Core, OnCore, check_core, new_core
from coplayer.networks.gru import GRU
from coplayer.networks.hawk import Hawk
from oracles import with_random_weights

TIME, BATCH, INPUTS, HIDDEN = 6, 3, 5, 4


def example(kind, seed=0):
    core = with_random_weights(lambda: new_core(kind, INPUTS, HIDDEN, jax.random.key(0)), seed)
    return core, jnp.asarray(np.random.default_rng(seed).normal(size=(TIME, BATCH, INPUTS)), jnp.float32)


def by_steps(core, inputs):
    def step(state, inputs):
        state = core.step(state, inputs)
        return state, core.features(state)

    return jax.lax.scan(step, core.initial_state(inputs.shape[1]), inputs)[1]


@pytest.mark.parametrize("kind", CORES)
def test_every_core_keeps_to_the_protocol(kind):
    core, inputs = example(kind)
    assert isinstance(core, Core) and core.width == HIDDEN
    start = core.initial_state(BATCH)
    for leaf in jax.tree.leaves(start):
        assert leaf.shape[0] == BATCH  # rows
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), start)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), core.step(start, inputs[0])) == shapes
    assert core.features(core.step(start, inputs[0])).shape == (BATCH, core.width)


@pytest.mark.parametrize("kind", CORES)
def test_a_sequence_is_its_steps_in_value_and_gradient(kind):
    core, inputs = example(kind)
    weights = np.random.default_rng(1).normal(size=(TIME, BATCH, HIDDEN))

    def value(features, core, inputs):
        return (weights * jnp.sin(features(core, inputs))).sum()

    def whole(core, inputs):
        return core.sequence(core.initial_state(BATCH), inputs)

    np.testing.assert_allclose(whole(core, inputs), by_steps(core, inputs), rtol=1e-5, atol=1e-5)
    ours, theirs = (
        jax.jit(jax.grad(lambda core, inputs, f=f: value(f, core, inputs), argnums=(0, 1)))(core, inputs)
        for f in (whole, by_steps)
    )
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        assert np.abs(other).max() > 1e-4
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("kind", CORES)
def test_what_comes_later_does_not_change_what_was_before(kind):
    core, inputs = example(kind)
    changed = inputs.at[3].add(1.0)
    one, other = (core.sequence(core.initial_state(BATCH), given) for given in (inputs, changed))
    np.testing.assert_array_equal(one[:3], other[:3])
    assert all(np.abs(one[t] - other[t]).max() > 1e-4 for t in range(3, TIME))  # remembered to the end


@pytest.mark.parametrize("kind", CORES)
def test_each_row_is_a_sequence_of_its_own(kind):
    core, inputs = example(kind)
    together = core.sequence(core.initial_state(BATCH), inputs)
    for b in range(BATCH):
        alone = core.sequence(core.initial_state(1), inputs[:, b : b + 1])
        np.testing.assert_allclose(together[:, b : b + 1], alone, rtol=1e-5, atol=1e-6)


def test_cores_by_name():
    assert CORES == {"gru": GRU, "hawk": Hawk}
    for kind, cls in CORES.items():
        assert isinstance(new_core(kind, INPUTS, HIDDEN, jax.random.key(0)), cls)
        check_core(kind, HIDDEN)


@pytest.mark.parametrize("make", [check_core, lambda kind, hidden: new_core(kind, 2, hidden, jax.random.key(0))])
@pytest.mark.parametrize(
    ("kind", "hidden", "message"),
    [
        ("lstm", 4, "core: must be one of gru, hawk, got 'lstm'"),
        ("hawk", 5, "hidden: must be a multiple of 2, the heads of a Hawk, got 5"),
        ("gru", 0, "hidden: must be a whole number of at least 1, got 0"),
    ],
)
def test_cores_that_cannot_be_made_are_refused(make, kind, hidden, message):
    with pytest.raises(CoplayerError) as caught:
        make(kind, hidden)
    assert str(caught.value) == message


@pytest.mark.parametrize("entry", [3, lambda inputs, hidden, *, key: 3])
def test_what_makes_no_core_is_one_line(entry, monkeypatch):
    monkeypatch.setitem(CORES, "odd", entry)
    with pytest.raises(CoplayerError, match=r"^core: odd makes no core \(see coplayer\.networks\.core\.Core\), but 3$"):
        new_core("odd", INPUTS, HIDDEN, jax.random.key(0))


def test_a_core_is_checked_without_being_made():
    check_core("gru", 10**6)  # its weights would take 12 TB


def test_a_model_on_a_core_has_its_weights():
    core, _ = example("gru")
    model = OnCore(core)
    assert model.core is core
    assert len(jax.tree.leaves(model)) == len(jax.tree.leaves(core)) == 4
