"""Small games with a state and chance, for three players each, made for tests: one of symbols, one of vectors."""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp

from coplayer.games.game import Symbol, Vector


@dataclass(frozen=True)
class Carousel:
    """Five places in a circle, of which one is held by the ball. The players push it on; sometimes a gust does too.

    Seats differ: player k is paid for the ball's distance from place k, times (1 + k), less what its push costs.
    """

    rounds: int = 6
    places: int = 5
    num_players: ClassVar[int] = 3
    num_actions: ClassVar[int] = 3
    symmetric: ClassVar[bool] = False
    measures: ClassVar[tuple[str, ...]] = ("pushed", "distance")

    @property
    def observation_space(self):
        return Symbol(self.places * self.num_actions)

    def reset(self, key):
        return jax.random.randint(key, (), 0, self.places), jnp.zeros((self.num_players,), jnp.int32)

    def step(self, state, actions, key):
        ball, _ = state
        gust = jax.random.bernoulli(key, 0.3).astype(jnp.int32)
        ball = (ball + actions.sum() + gust) % self.places
        seats = jnp.arange(self.num_players)
        return (ball, actions), (1.0 + seats) * self._distance(ball, seats) - 0.5 * actions

    def _distance(self, ball, seat):
        return (ball - seat) % self.places

    def observe(self, state, player):
        """How far the ball is from one's own place, and the last action of the next player."""
        ball, last = state
        return self._distance(ball, player) * self.num_actions + last[(player + 1) % self.num_players]

    def measure(self, before, actions, after, player):
        return {"pushed": actions[player] > 0, "distance": 1.0 * self._distance(after[0], player)}


class Stocks(NamedTuple):
    """The state of `Commons`."""

    common: jax.Array
    own: jax.Array


@dataclass(frozen=True)
class Commons:
    """A stock that grows by chance, of which each player may take a share (action 1) into a stock of its own."""

    rounds: int = 5
    num_players: ClassVar[int] = 3
    num_actions: ClassVar[int] = 2
    symmetric: ClassVar[bool] = True
    measures: ClassVar[tuple[str, ...]] = ("restraint",)
    observation_space: ClassVar[Vector] = Vector(4)

    def reset(self, key):
        return Stocks(1 + jax.random.uniform(key), jnp.zeros((self.num_players,)))

    def step(self, state, actions, key):
        taken = 0.2 * state.common * actions
        growth = 1.3 + 0.2 * jax.random.normal(key)
        return Stocks((state.common - taken.sum()) * growth, 0.5 * state.own + taken), taken

    def observe(self, state, player):
        """The common stock, one's own, and those of the next players, in the order of the seats."""
        return jnp.concatenate([state.common[None], jnp.roll(state.own, -player)])

    def measure(self, before, actions, after, player):
        return {"restraint": actions[player] == 0}
