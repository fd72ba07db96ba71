"""Mapping over learners and seeds, and the exchange between learners, against plain Python loops."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.experiments.axes import LEARNERS, exchange_between_learners, map_learners_and_seeds, of_all_learners


@pytest.fixture(params=["two devices", "one device"])
def devices(request, monkeypatch):
    """With two devices, two learners have one each; three are mapped on one in any case."""
    both = jax.devices()
    assert len(both) == 2
    if request.param == "one device":
        monkeypatch.setattr(jax, "devices", lambda: both[:1])


@pytest.mark.parametrize("learners", [2, 3])
@pytest.mark.parametrize(("seeds", "seed_batch"), [(1, 1), (4, 1), (3, 2), (4, 4), (3, 9)])
def test_a_mapped_function_is_a_loop_over_learners_and_seeds(devices, learners, seeds, seed_batch):
    rng = np.random.default_rng(0)
    mapped = {"a": rng.normal(size=(learners, seeds, 5)), "b": rng.integers(9, size=(learners, seeds))}

    def function(one, shared):
        return {"sum": one["a"].sum() * shared, "rest": one["a"][1:] + one["b"]}

    found = jax.jit(map_learners_and_seeds(function, num_learners=learners, seed_batch=seed_batch))(mapped, 3.0)
    assert found["sum"].shape == (learners, seeds) and found["rest"].shape == (learners, seeds, 4)
    for i, s in np.ndindex(learners, seeds):
        assert float(found["sum"][i, s]) == pytest.approx(3 * mapped["a"][i, s].sum(), rel=1e-4)
        np.testing.assert_allclose(found["rest"][i, s], mapped["a"][i, s][1:] + mapped["b"][i, s], rtol=1e-5)


@pytest.mark.parametrize("learners", [2, 3, 4, 5])
def test_what_learners_exchange_is_what_the_other_holds_of_the_same_episodes(devices, learners):
    """Every pair has its own episodes, numbered alike by both: then each gets what the other has of that number."""
    size, rng = 3, np.random.default_rng(1)
    held, owner = np.zeros((learners, size * (learners - 1))), {}
    for i in range(learners):
        for episode in range(held.shape[1]):
            step, number = divmod(episode, size)
            other = (i + 1 + step) % learners
            held[i, episode] = owner[i, other, number] = rng.normal()

    def function(values, _):
        return exchange_between_learners(values), jax.lax.axis_index(LEARNERS)

    mapped = jax.jit(map_learners_and_seeds(function, num_learners=learners, seed_batch=1))
    found, index = mapped(jnp.asarray(held, jnp.float32)[:, None], 0)
    np.testing.assert_array_equal(index[:, 0], np.arange(learners))
    for i in range(learners):
        for episode in range(held.shape[1]):
            step, number = divmod(episode, size)
            other = (i + 1 + step) % learners
            assert float(found[i, 0, episode]) == np.float32(owner[other, i, number])


def test_without_episodes_nothing_is_exchanged():
    none = jnp.zeros((0,))
    assert exchange_between_learners(none) is none


@pytest.mark.parametrize("learners", [2, 3])
def test_every_learner_has_the_arrays_of_all(devices, learners):
    values = {"a": jnp.arange(learners * 2 * 3.0).reshape(learners, 2, 3), "b": jnp.arange(2 * learners).reshape(-1, 2)}
    mapped = map_learners_and_seeds(lambda one, _: of_all_learners(one), num_learners=learners, seed_batch=1)
    found = jax.jit(mapped)(values, 0)
    for i, s in np.ndindex(learners, 2):
        np.testing.assert_array_equal(found["a"][i, s], values["a"][:, s])
        np.testing.assert_array_equal(found["b"][i, s], values["b"][:, s])


def test_two_learners_have_a_device_each_and_three_share_one():
    def placed(learners, seeds):
        mapped = map_learners_and_seeds(lambda one, _: 2 * one, num_learners=learners, seed_batch=1)
        return jax.jit(mapped)(jnp.zeros((learners, seeds)), 0).sharding

    assert len(placed(2, 3).device_set) == 2
    assert len(placed(3, 3).device_set) == 1  # an odd number of seeds cannot be parted
    assert len(placed(3, 4).device_set) == 2  # each device has two seeds of all learners
