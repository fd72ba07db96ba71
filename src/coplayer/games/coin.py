"""The coin game: two players collect coins of two colours on a small torus (Lerer and Peysakhovich 2017).

LOLA (Foerster et al. 2018) and POLA (Zhao et al. 2022) play it on 3 x 3 cells.

Any coin is worth 1 to the player who takes it. Taking a coin of the other player's colour costs the other player 2. So
each player gains by taking every coin, and both gain more if each takes the coins of its own colour only.
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from coplayer.errors import require, require_whole
from coplayer.games.game import Vector
from coplayer.games.grid import STEPS, Scene, cell_of, cells_of, one_of

WORTH, DAMAGE = 1.0, 2.0
COLOURS = ("alternating", "random")


class CoinState(NamedTuple):
    """A table between two rounds."""

    positions: Int[Array, "players 2"]  # column and row
    coin: Int[Array, " 2"]  # column and row
    colour: Int[Array, ""]  # the player whose colour the coin has


@dataclass(frozen=True)
class CoinGame:
    """Two players and one coin on a torus. The actions are right, left, up, down; who leaves the grid comes in at the
    other side. After the moves, a player on the coin takes it, for a reward of 1. If the coin has the other player's
    colour, the other player loses 2. Two players on the coin both take it. A new coin appears at once, in a random cell
    where no player is.
    """

    size: int = 3
    """Columns and rows of the torus."""
    rounds: int = 50
    """Rounds of an episode."""
    colours: str = "alternating"
    """Colour of a new coin: "alternating", the other one than before; or "random", either with probability 1/2."""

    num_players: ClassVar[int] = 2
    num_actions: ClassVar[int] = 4
    symmetric: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("own_coins", "other_coins")

    def __post_init__(self):
        require_whole("size", self.size, at_least=2)
        require_whole("rounds", self.rounds, at_least=1)
        require(self.colours in COLOURS, f"colours: must be one of {', '.join(COLOURS)}, got {self.colours!r}")

    @property
    def observation_space(self) -> Vector:
        """Four grids of zeros and ones, row by row: one's own cell, the other player's cell, and the coin's cell twice.
        The third grid has the coin if it is of one's own colour, the fourth if it is of the other player's.
        """
        return Vector(4 * self.size**2)

    def reset(self, key: PRNGKeyArray) -> CoinState:
        """The players in two random cells, a coin of a random colour in a third one."""
        placing, dropping, colouring = jax.random.split(key, 3)
        cells = jax.random.choice(placing, self.size**2, (2,), replace=False)
        positions = jnp.stack([cells % self.size, cells // self.size], axis=1)
        coin = self._drop(positions, jax.random.uniform(dropping))
        colour = jax.random.bernoulli(colouring).astype(jnp.int32)
        return CoinState(positions, coin, colour)

    def step(
        self, state: CoinState, actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[CoinState, Float[Array, " players"]]:
        place, shade = jax.random.uniform(key, (2,))
        positions = (state.positions + jnp.asarray(STEPS)[actions]) % self.size
        took = (positions == state.coin).all(1)
        others = jnp.arange(2) != state.colour  # players whose colour the coin does not have
        hurt = (took & others)[::-1]
        rewards = WORTH * took - DAMAGE * hurt
        fresh = (shade < 0.5).astype(jnp.int32) if self.colours == "random" else 1 - state.colour
        coin = jnp.where(took.any(), self._drop(positions, place), state.coin)
        colour = jnp.where(took.any(), fresh, state.colour)
        return CoinState(positions, coin, colour), rewards

    def _drop(self, positions: Int[Array, "players 2"], place: Float[Array, ""]) -> Int[Array, " 2"]:
        """A cell where no player is, drawn by a uniform number."""
        free = (cell_of(positions, self.size)[:, None] != jnp.arange(self.size**2)).all(0)
        cell = jnp.argmax(one_of(free, place))
        return jnp.stack([cell % self.size, cell // self.size])

    def observe(self, state: CoinState, player: int | Int[Array, ""]) -> Float[Array, " size"]:
        def grid(position):
            return cell_of(position, self.size) == jnp.arange(self.size**2)

        own, other, coin = grid(state.positions[player]), grid(state.positions[1 - player]), grid(state.coin)
        mine = state.colour == player
        return jnp.concatenate([own, other, coin & mine, coin & ~mine]).astype(jnp.float32)

    def scene(self, observation: Float[np.ndarray, " size"]) -> Scene:
        own, other, mine, theirs = (cells_of(grid, self.size) for grid in np.split(np.asarray(observation), 4))
        things = dict.fromkeys(mine, "own coin") | dict.fromkeys(theirs, "other coin")
        return Scene((self.size, self.size), own + other, [False, False], things)

    def measure(self, before, actions, after, player) -> dict[str, Bool[Array, ""]]:
        """Whether the player took a coin of its own colour, and whether one of the other player's."""
        took, own = (after.positions[player] == before.coin).all(), before.colour == player
        return {"own_coins": took & own, "other_coins": took & ~own}
