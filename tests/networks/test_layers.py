"""The small parts that networks share, by hand and by frequency."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.networks.layers import affine, new_linear, pick, sample

JUST_BELOW_ONE = np.nextafter(np.float32(1), np.float32(0))


def test_new_linear_layers_are_uniform_in_the_usual_bound():
    weights, bias = new_linear(jax.random.key(0), 25, 40)
    assert weights.shape == (40, 25) and bias.shape == (40,)
    np.testing.assert_array_equal(bias, 0)
    bound = 1 / 5
    assert np.abs(weights).max() <= bound
    assert np.std(weights) == pytest.approx(bound / np.sqrt(3), rel=0.05)
    assert abs(np.mean(weights)) < 5 * bound / np.sqrt(3 * weights.size)
    assert (weights != new_linear(jax.random.key(1), 25, 40)[0]).all()


@pytest.mark.parametrize("shape", [(), (4,), (3, 2)])
def test_picking_is_indexing_along_the_first_axis(shape):
    rng = np.random.default_rng(0)
    for more in ((), (5,)):  # axes of the values before those of the choice
        values, choice = rng.normal(size=(3, *more, *shape)), rng.integers(3, size=shape)
        picked = np.asarray(pick(jnp.asarray(values), jnp.asarray(choice)))
        expected = np.empty((*more, *shape))
        for at in np.ndindex(*shape):
            expected[(..., *at)] = values[(choice[at], ..., *at)]
        np.testing.assert_allclose(picked, expected, rtol=1e-6)


def test_picking_has_the_gradient_of_indexing():
    values, choice = jnp.arange(6.0).reshape(3, 2), jnp.array([2, 0])
    slope = jax.grad(lambda values: (pick(values, choice) * jnp.array([10.0, 20.0])).sum())(values)
    np.testing.assert_array_equal(slope, [[0, 20], [0, 0], [10, 0]])


@pytest.mark.parametrize("axes", [(), (3,), (2, 3)])
def test_affine_maps_every_row(axes):
    rng = np.random.default_rng(0)
    rows, weights, bias = rng.normal(size=(*axes, 4)), rng.normal(size=(4, 5)), rng.normal(size=5)
    found = affine(*(jnp.asarray(x, jnp.float32) for x in (rows, weights, bias)))
    assert found.shape == (*axes, 5)
    np.testing.assert_allclose(found, rows @ weights + bias, rtol=1e-5, atol=1e-5)


def test_sample_inverts_the_cumulative_distribution():
    p = np.array([0.2, 0.0, 0.5, 0.3], dtype=np.float32)
    count = 1000
    uniform = (np.arange(count) + 0.5) / count  # one point in the middle of every thousandth
    drawn = sample(jnp.broadcast_to(jnp.asarray(p)[:, None], (4, count)), jnp.asarray(uniform, jnp.float32))
    np.testing.assert_array_equal(drawn, [0] * 200 + [2] * 500 + [3] * 300)


@pytest.mark.parametrize(
    ("p", "at_zero", "below_one"),
    [
        ([1.0, 0.0], 0, 0),
        ([0.0, 1.0], 1, 1),
        ([0.5, 0.5], 0, 1),
        ([0.0, 1.0, 0.0], 1, 1),
        ([0.0, 0.0, 1.0], 2, 2),
        ([0.25, 0.25, 0.25, 0.25], 0, 3),
        ([0.3, 0.3, 0.3999], 0, 2),  # unnormalised by rounding: still a choice that exists
    ],
)
def test_sample_at_the_edges_of_the_unit_interval(p, at_zero, below_one):
    column = jnp.asarray(p)[:, None]
    assert int(sample(column, jnp.array([0.0]))[0]) == at_zero
    assert int(sample(column, jnp.array([JUST_BELOW_ONE]))[0]) == below_one


def test_sample_frequencies_of_random_draws():
    count, p = 50_000, np.array([0.05, 0.6, 0.35])
    column = jnp.broadcast_to(jnp.asarray(p, jnp.float32)[:, None], (3, count))
    drawn = np.asarray(sample(column, jax.random.uniform(jax.random.key(5), (count,))))
    frequency = np.bincount(drawn, minlength=3) / count
    assert np.all(np.abs(frequency - p) < 5 * np.sqrt(p * (1 - p) / count))
