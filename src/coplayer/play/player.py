"""What a player is: anything that sits at a table, be it a strategy, a trained network, a planner or a learner.

A player is a pytree (an equinox Module) that holds what stays the same, such as weights. Whatever changes while the
player plays is its *state*, which the loop of rounds carries. One player plays many tables at once, its *batch*.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PRNGKeyArray

from coplayer.errors import require
from coplayer.games.game import Game, Observations
from coplayer.play.trajectory import Episode

Chance = Key[Array, ""] | Float[Array, " batch"]


class Player(eqx.Module):
    """The protocol of all players. A new kind of player supplies `begin` and `act`. A player that learns, or remembers
    more than one episode, also supplies `learn`. One that cannot play every game supplies `check`.
    """

    @abc.abstractmethod
    def begin(self, key: PRNGKeyArray, batch: int) -> Any:
        """The state before the first round at `batch` tables: a pytree of arrays."""

    @abc.abstractmethod
    def act(self, state: Any, observation: Observations, key: Chance) -> tuple[Any, Int[Array, " batch"], Any]:
        """The state after `observation`, an action for each table, and notes on this round for `learn` (or None).

        `key` is a random key. A player with `takes_uniforms` may get a uniform number for each table instead; then
        `uniform(key, shape)` gives uniform numbers in both cases.
        """

    def learn(self, state: Any, episode: Episode, notes: Any, key: PRNGKeyArray) -> Any:
        """The state before the next episode, once an episode has been played to its end. Here a player may learn.

        `episode` is in the player's own view. `notes` are those of `act`, with a leading axis of rounds. By default a
        player forgets everything and begins anew.
        """
        return self.begin(key, episode.actions.shape[1])

    def check(self, game: Game) -> None:
        """Refuse a game that the player cannot play, by a `CoplayerError` of one line, "player: " and the reason."""

    @property
    def takes_uniforms(self) -> bool:
        """Whether all that the player draws in a round is one uniform number per table. If so, the numbers of a whole
        episode can be drawn at once, which is faster.
        """
        return False


def act(player: Player, state: Any, observation: Observations, key: Any) -> tuple[Any, Int[Array, " batch"], Any]:
    """What the player does, with its form checked: `Player.act` must give (state, actions, notes), with a whole number
    per table for its actions. Nothing of this costs time once the play is compiled.
    """
    acted = player.act(state, observation, key)
    require(
        isinstance(acted, tuple) and len(acted) == 3,
        f"player: act of {type(player).__name__} must give (state, actions, notes), gave {type(acted).__name__}",
    )
    shape, kind = jnp.shape(acted[1]), jnp.result_type(acted[1])
    require(
        shape == observation.shape[:1] and jnp.issubdtype(kind, jnp.integer),
        f"player: must take one whole number per table as its actions, {observation.shape[:1]}, took {kind} {shape}",
    )
    return acted


def uniform(key: Chance, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Uniform numbers in [0, 1) of this shape: drawn now if `key` is a key, else the numbers that `key` holds."""
    if jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key):
        return jax.random.uniform(key, shape)
    return key.reshape(shape)
