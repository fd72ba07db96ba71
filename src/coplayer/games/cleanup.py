"""CleanUp-lite: two players share an orchard and a river (Meulemans et al. 2025, section 5).

Apples grow only while the river is clean. Cleaning is a walk away from the apples, and both players gain from it: a
social dilemma with state. A player can also zap the other one, who then stands still for some rounds.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from coplayer.errors import require_whole
from coplayer.games.game import Vector
from coplayer.games.grid import STEPS, Scene, cell_of, cells_of, one_of

ZAP, NOTHING = range(len(STEPS), len(STEPS) + 2)  # after the moves
COLUMNS, ROWS = 5, 4
ORCHARD, RIVER = 0, COLUMNS - 1  # columns
FIRST_DIRT = 3  # patches of dirt at the start
DIRT_CHANCE = 0.35  # of a new patch, where the river has a free cell
TOO_DIRTY = 3  # patches from which on no apple grows
ZAP_REACH = 2  # cells, counted along rows and columns
ZAP_CHANCE = 0.9
FROZEN_ROUNDS = 5  # after the round of the zap
BY_ACTION = np.concatenate([STEPS, np.zeros((2, 2), int)])  # column and row


class CleanUpState(NamedTuple):
    """A table between two rounds."""

    positions: Int[Array, "players 2"]  # column and row
    frozen: Int[Array, " players"]  # rounds that each player still stands still
    apples: Bool[Array, " rows"]  # in the orchard
    dirt: Bool[Array, " rows"]  # in the river
    cleaned: Bool[Array, " players"]  # whether each player cleaned a patch in the last round


class Chance(NamedTuple):
    """What is random in a round: numbers that are uniform in [0, 1)."""

    dirt: Float[Array, ""]  # whether a patch appears
    dirt_place: Float[Array, ""]
    apple: Float[Array, ""]
    apple_place: Float[Array, ""]
    zaps: Float[Array, " players"]  # whether the zap of each player succeeds


@dataclass(frozen=True)
class CleanUpLite:
    """Two players on a grid of 5 columns and 4 rows. The left column is an orchard, the right one a river.

    A round goes in this order. A patch of dirt may appear in the river. An apple may appear in the orchard, more likely
    the cleaner the river is. Players on an apple take it, for a reward of 1; players on dirt clean it. Then players
    zap, and last of all they move.

    The actions are right, left, up, down, zap, nothing. A zap reaches a player at most 2 cells away, counted along rows
    and columns, and succeeds with probability 0.9. A zapped player does not move in that round, and in the next 5
    rounds does nothing at all and cannot be zapped.
    """

    rounds: int = 64
    """Rounds of an episode."""

    num_players: ClassVar[int] = 2
    num_actions: ClassVar[int] = 6
    symmetric: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("cleaning", "zapped", "pollution", "apples")
    compared: ClassVar[tuple[str, ...]] = ("cleaning",)
    """Measures whose discrepancy is reported too: how far the means of an episode's two players lie apart."""
    observation_space: ClassVar[Vector] = Vector(2 * COLUMNS * ROWS + 3 * COLUMNS * ROWS + 2)
    """The whole state in the first person. First one's own cell and the other player's, as 20 zeros and ones each. Then
    of every cell whether there is an apple, dirt, or neither. Last whether oneself is frozen, and whether the other
    player is. Cells are counted row by row.
    """

    def __post_init__(self):
        require_whole("rounds", self.rounds, at_least=1)

    def reset(self, key: PRNGKeyArray) -> CleanUpState:
        """Players in random cells, which may be the same one; three patches of dirt; no apple."""
        placing, dirtying = jax.random.split(key)
        positions = jax.random.randint(placing, (2, 2), 0, jnp.array([COLUMNS, ROWS]))
        dirt = jax.random.permutation(dirtying, jnp.arange(ROWS) < FIRST_DIRT)
        nobody = jnp.zeros(2, bool)
        return CleanUpState(positions, jnp.zeros(2, jnp.int32), jnp.zeros(ROWS, bool), dirt, nobody)

    def step(
        self, state: CleanUpState, actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[CleanUpState, Float[Array, " players"]]:
        draws = jax.random.uniform(key, (6,))
        return advance(state, actions, Chance(*draws[:4], draws[4:]))

    def observe(self, state: CleanUpState, player: int | Int[Array, ""]) -> Float[Array, " size"]:
        order = jnp.array([player, 1 - player])
        cells = jnp.arange(ROWS * COLUMNS).reshape(ROWS, COLUMNS)
        at = cell_of(state.positions[order], COLUMNS)[:, None] == cells.reshape(-1)
        column = cells % COLUMNS
        apple = (column == ORCHARD) & state.apples[:, None]
        dirt = (column == RIVER) & state.dirt[:, None]
        grid = jnp.stack([apple, dirt, ~(apple | dirt)], axis=-1)
        parts = (at.reshape(-1), grid.reshape(-1), state.frozen[order] > 0)
        return jnp.concatenate(parts).astype(jnp.float32)

    def scene(self, observation: Float[np.ndarray, " size"]) -> Scene:
        cells = COLUMNS * ROWS
        own, other, grid, frozen = np.split(np.asarray(observation), [cells, 2 * cells, 5 * cells])
        apple, dirt, _ = grid.reshape(cells, 3).T
        things = dict.fromkeys(cells_of(apple, COLUMNS), "apple") | dict.fromkeys(cells_of(dirt, COLUMNS), "dirt")
        players = cells_of(own, COLUMNS) + cells_of(other, COLUMNS)
        return Scene((COLUMNS, ROWS), players, (frozen > 0).tolist(), things)

    def measure(self, before, actions, after, player) -> dict[str, Float[Array, ""] | Bool[Array, ""]]:
        """`cleaning`: whether the player cleaned a patch. `zapped`: whether it was hit by a zap. `pollution` and
        `apples`: patches of dirt and apples on the grid after the round.
        """
        return {
            "cleaning": after.cleaned[player],
            "zapped": after.frozen[player] == FROZEN_ROUNDS,
            "pollution": after.dirt.sum().astype(jnp.float32),
            "apples": after.apples.sum().astype(jnp.float32),
        }


def advance(
    state: CleanUpState, actions: Int[Array, " players"], chance: Chance
) -> tuple[CleanUpState, Float[Array, " players"]]:
    """A round, given what is random in it. The rules are the same for both players."""
    dirt = state.dirt | (chance.dirt < DIRT_CHANCE) & one_of(~state.dirt, chance.dirt_place)
    growth = 1 - jnp.minimum(1, dirt.sum() / TOO_DIRTY)
    apples = state.apples | (chance.apple < growth) & one_of(~state.apples, chance.apple_place)

    columns, rows = state.positions.T
    free = state.frozen == 0
    harvests = free & (columns == ORCHARD) & apples[rows]
    cleans = free & (columns == RIVER) & dirt[rows]
    cells = jnp.arange(ROWS)
    apples &= ~(harvests[:, None] & (rows[:, None] == cells)).any(0)
    dirt &= ~(cleans[:, None] & (rows[:, None] == cells)).any(0)

    near = jnp.abs(state.positions[0] - state.positions[1]).sum() <= ZAP_REACH
    hits = free & (actions == ZAP) & near & free[::-1] & (chance.zaps < ZAP_CHANCE)
    zapped = hits[::-1]

    moved = jnp.clip(state.positions + jnp.asarray(BY_ACTION)[actions], 0, jnp.array([COLUMNS - 1, ROWS - 1]))
    positions = jnp.where((free & ~zapped)[:, None], moved, state.positions)
    frozen = jnp.where(zapped, FROZEN_ROUNDS, jnp.maximum(0, state.frozen - 1))
    return CleanUpState(positions, frozen, apples, dirt, cleans), harvests.astype(jnp.float32)
