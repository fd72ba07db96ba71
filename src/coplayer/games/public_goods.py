"""The iterated public goods game: what the players give is multiplied, and shared equally by all players."""

import math
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from coplayer.errors import require, require_whole
from coplayer.games.game import Symbol

GIVE = 0


@dataclass(frozen=True)
class PublicGoods:
    """In each round, each of `num_players` players gives 1 (action 0) or keeps it (action 1).

    All gifts together, times `factor`, are shared equally by all players, givers or not. A player's reward is its share
    less its own gift. With 1 < factor < num_players a gift is good for the group and bad for the giver: a social
    dilemma.
    """

    num_players: int = 3
    """Seats at the table, at least 2. The built-in experiments need exactly 2; matches take any number."""
    factor: float = 1.6
    """Factor on the sum of all gifts."""
    rounds: int = 100
    """Rounds of an episode."""

    num_actions: ClassVar[int] = 2
    symmetric: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("cooperation",)

    def __post_init__(self):
        for name, least in (("num_players", 2), ("rounds", 1)):
            require_whole(name, getattr(self, name), at_least=least)
        require(
            isinstance(self.factor, Real) and math.isfinite(self.factor),
            f"factor: must be a finite number, got {self.factor!r}",
        )

    @property
    def observation_space(self) -> Symbol:
        """0 before the first round; after it 1 + n * (own action) + (number of others who gave), for n players."""
        return Symbol(1 + 2 * self.num_players)

    def reset(self, key: PRNGKeyArray) -> Int[Array, " players"]:
        """The state: each player's last action, or -1 before the first round."""
        return jnp.full((self.num_players,), -1)

    def step(
        self, state: Int[Array, " players"], actions: Int[Array, " players"], key: PRNGKeyArray
    ) -> tuple[Int[Array, " players"], Float[Array, " players"]]:
        gifts = (actions == GIVE).astype(jnp.float32)
        return actions, self.factor * gifts.mean() - gifts

    def observe(self, state: Int[Array, " players"], player: int | Int[Array, ""]) -> Int[Array, ""]:
        own = state[player]
        others = (state == GIVE).sum() - (own == GIVE)
        return jnp.where(own < 0, 0, 1 + self.num_players * own + others)

    def measure(self, before, actions, after, player) -> dict[str, Bool[Array, ""]]:
        return {"cooperation": actions[player] == GIVE}
