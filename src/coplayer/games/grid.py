"""What games on a grid share: moves, the numbers of cells, and a free place by chance. Positions are (column, row)."""

from typing import NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

RIGHT, LEFT, UP, DOWN = range(4)
STEPS = np.array([[1, 0], [-1, 0], [0, -1], [0, 1]])  # column and row, by move; the row 0 is the upper one


class Scene(NamedTuple):
    """What is to be seen at a table at one time. Cells are (column, row); the row 0 is the upper one."""

    size: tuple[int, int]  # columns and rows
    players: list[tuple[int, int]]  # whoever looks at it first, then the other one
    frozen: list[bool]
    things: dict[tuple[int, int], str]  # "apple", "dirt", "own coin" or "other coin"


@runtime_checkable
class Visible(Protocol):
    """A game that can be drawn, since an observation shows the whole table."""

    def scene(self, observation: Float[np.ndarray, " size"]) -> Scene:
        """What a player sees, from one of its observations."""


def cells_of(ones: np.ndarray, columns: int) -> list[tuple[int, int]]:
    """The cells where a grid of zeros and ones, row by row, is one."""
    return [(int(cell) % columns, int(cell) // columns) for cell in np.flatnonzero(ones)]


def cell_of(positions: Int[Array, "*batch 2"], columns: int) -> Int[Array, "*batch"]:
    """The number of each position's cell. Cells are counted row by row."""
    return positions[..., 1] * columns + positions[..., 0]


def one_of(free: Bool[Array, " places"], place: Float[Array, ""]) -> Bool[Array, " places"]:
    """One of the free places, drawn by a uniform number in [0, 1). Nowhere, if no place is free."""
    nth = jnp.floor(place * free.sum()).astype(jnp.int32)  # of the free ones, from 0
    return free & (jnp.cumsum(free) - 1 == nth)
