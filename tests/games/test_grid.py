"""Moves, cells and free places of games on a grid."""

import jax
import jax.numpy as jnp
import numpy as np

from coplayer.games.grid import DOWN, LEFT, RIGHT, STEPS, UP, cell_of, one_of


def test_moves_and_cells():
    start = np.array([1, 1])  # of a grid of three columns: cell 4
    after = {move: int(cell_of(jnp.asarray(start + STEPS[move]), 3)) for move in (RIGHT, LEFT, UP, DOWN)}
    assert after == {RIGHT: 5, LEFT: 3, UP: 1, DOWN: 7}


def test_a_free_place_is_that_of_a_list_of_free_places():
    draws = np.random.default_rng(0)
    masks, places = draws.random((500, 5)) < 0.5, draws.random(500).astype(np.float32)
    found = jax.vmap(one_of)(jnp.asarray(masks), jnp.asarray(places))
    for mask, place, one in zip(masks, places, found, strict=True):
        free = np.flatnonzero(mask).tolist()
        assert np.flatnonzero(one).tolist() == ([free[int(place * len(free))]] if free else [])
    assert not masks.any(1).all()
