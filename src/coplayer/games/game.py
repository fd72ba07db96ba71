"""What a game is: the rules of one table, as pure functions of arrays.

The rules know nothing of batches: the library maps them over many tables at once (see `play.tables`). So they must be
functions that JAX can trace: `jnp.where` instead of `if` on actions or states.

A game is a frozen dataclass whose fields are its settings. So a game can be compared, hashed, written to a file and
read back. A new game is one file (see examples/your_own_game.py).
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


@dataclass(frozen=True)
class Symbol:
    """An observation that is one of `size` symbols: an integer from 0 to size - 1."""

    size: int


@dataclass(frozen=True)
class Vector:
    """An observation that is `size` real numbers."""

    size: int


Observation = Int[Array, ""] | Float[Array, " size"]


@runtime_checkable
class Game(Protocol):
    """The rules of one table with `num_players` seats, whose players move at the same time."""

    @property
    def num_players(self) -> int:
        """Seats at the table, numbered from 0."""

    @property
    def num_actions(self) -> int:
        """Actions of each player, numbered from 0."""

    @property
    def rounds(self) -> int:
        """Rounds of an episode, the same in each."""

    @property
    def observation(self) -> Symbol | Vector:
        """The kind of a player's observations: a symbol out of some, or a vector of some length."""

    @property
    def symmetric(self) -> bool:
        """Whether all seats have the same rules: then it does not matter who sits where."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the numbers that `measure` gives for each player and round, such as "cooperation". They are reported
        beside the rewards.
        """

    def reset(self, key: PRNGKeyArray) -> Any:
        """The state before the first round: a pytree of arrays. `key` is for games that begin by chance."""

    def step(
        self, state: Any, actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[Any, Float[Array, " players"]]:
        """The state after a round, and each player's reward, from the players' actions by seat. The new state has the
        shapes and dtypes of the old one. `key` is for games with chance.
        """

    def observe(self, state: Any, player: int | Int[Array, ""]) -> Observation:
        """What the player in seat `player` sees of a state. Observations are in the first person: where seats are
        alike, nothing in them tells the seat.
        """

    def measure(
        self, before: Any, actions: Int[Array, " players"], after: Any, player: int | Int[Array, ""]
    ) -> dict[str, Float[Array, ""] | Bool[Array, ""]]:
        """The measurements of one round for the player in seat `player`, by the names in `measures`. `before` and
        `after` are the states around the round.
        """
