"""What a game is: the rules of one table, as pure functions. Whoever plays many tables at once maps over them.

A game is a frozen dataclass: its fields are its settings, so it can be compared, hashed, written to a file and read
back. A new game is one file (see examples/your_own_game.py).
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
        """What a player observes before each round."""

    @property
    def symmetric(self) -> bool:
        """Whether all seats have the same rules, so that it does not matter who sits where."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of what is measured of each player in a round, such as "cooperation"."""

    def reset(self, key: PRNGKeyArray) -> Any:
        """The state before the first round: a pytree of arrays."""

    def step(
        self, state: Any, actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[Any, Float[Array, " players"]]:
        """The state after a round, and each player's reward."""

    def observe(self, state: Any, player: int | Int[Array, ""]) -> Observation:
        """What a player sees in a state, in the first person: nothing in it tells the seat, unless the seats differ."""

    def measure(
        self, before: Any, actions: Int[Array, " players"], after: Any, player: int | Int[Array, ""]
    ) -> dict[str, Float[Array, ""] | Bool[Array, ""]]:
        """What is measured of a player in one round, by the names in `measures`, from the states before and after."""
