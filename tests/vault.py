"""A small game with state, of two players: a vault that grows while nobody takes from it."""

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp

from coplayer.errors import require
from coplayer.games.game import Symbol, Vector

SAVE, TAKE = 0, 1
MOST = 4


@dataclass(frozen=True)
class Vault:
    """The vault holds 1 to 4 coins. Each player saves (action 0) or takes (action 1). Who takes gets half of the vault
    each, or all of it where the other saves. The vault then holds 1 coin. Where both save, it grows by a coin with
    probability `growth`.
    """

    growth: float = 0.75
    """Probability that the vault grows where both save."""
    told: str = "symbol"
    """How the vault is observed: symbol or vector."""
    rounds: int = 6
    """Rounds of an episode."""

    num_players: ClassVar[int] = 2
    num_actions: ClassVar[int] = 2
    symmetric: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("saving",)

    def __post_init__(self):
        require(0 <= self.growth <= 1, f"growth: must lie in [0, 1], got {self.growth}")

    @property
    def observation_space(self):
        return Symbol(MOST) if self.told == "symbol" else Vector(MOST + 1)

    def reset(self, key):
        return jnp.asarray(1)

    def step(self, state, actions, key):
        takes = (actions == TAKE).astype(jnp.float32)
        grown = jnp.minimum(state + jax.random.bernoulli(key, self.growth), MOST)
        rewards = state * takes / jnp.maximum(takes.sum(), 1)
        return jnp.where(takes.sum() > 0, 1, grown), rewards

    def observe(self, state, player):
        if self.told == "symbol":
            return state - 1
        return jnp.append(jax.nn.one_hot(state - 1, MOST), state / MOST)

    def measure(self, before, actions, after, player):
        return {"saving": actions[player] == SAVE}
