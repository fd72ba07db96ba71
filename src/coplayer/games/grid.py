"""What games on a grid share: moves, the numbers of cells, and a free place by chance. Positions are (column, row)."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

RIGHT, LEFT, UP, DOWN = range(4)
STEPS = np.array([[1, 0], [-1, 0], [0, -1], [0, 1]])  # column and row, by move; the row 0 is the upper one


def cell_of(positions: Int[Array, "*batch 2"], columns: int) -> Int[Array, "*batch"]:
    """The number of each position's cell. Cells are counted row by row."""
    return positions[..., 1] * columns + positions[..., 0]


def one_of(free: Bool[Array, " places"], place: Float[Array, ""]) -> Bool[Array, " places"]:
    """One of the free places, drawn by a uniform number in [0, 1). Nowhere, if no place is free."""
    nth = jnp.floor(place * free.sum()).astype(jnp.int32)  # of the free ones, from 0
    return free & (jnp.cumsum(free) - 1 == nth)
