"""Observations as inputs of a core: one column per table."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.games.game import Symbol, Vector
from coplayer.networks.encoders import encode


@pytest.mark.parametrize("size", [1, 5, 9])
def test_symbols_are_one_hot(size):
    seen = np.random.default_rng(0).integers(size, size=12)
    columns = jax.jit(lambda seen: encode(Symbol(size), seen))(jnp.asarray(seen))
    assert columns.shape == (size, 12) and columns.dtype == jnp.float32
    np.testing.assert_array_equal(columns, np.eye(size)[seen].T)


def test_vectors_are_taken_as_they_are():
    seen = jnp.asarray(np.random.default_rng(1).normal(size=(12, 3)), jnp.float32)
    columns = encode(Vector(3), seen)
    assert columns.shape == (3, 12)
    for b in range(12):
        np.testing.assert_array_equal(columns[:, b], seen[b])
