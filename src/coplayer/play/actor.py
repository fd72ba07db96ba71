"""A player at one table, who is asked for one action at a time: for loops of rounds outside this library."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Int, PRNGKeyArray

from coplayer.errors import require, require_kind, require_whole
from coplayer.games.game import Game, Symbol, require_game
from coplayer.play.player import Player, act
from coplayer.play.trajectory import Episode


@eqx.filter_jit
def act_at_once(
    player: Player, state: Any, observation: Array, key: PRNGKeyArray
) -> tuple[Any, Int[Array, " batch"], Any]:
    """`Player.act`, compiled."""
    return act(player, state, observation, key)


@eqx.filter_jit
def _learn(player: Player, state: Any, episode: Episode, notes: Any, key: PRNGKeyArray) -> Any:
    return player.learn(state, episode, notes, key)


class Actor:
    """A player who acts round by round, and keeps its own state: what it remembers and what it has learned.

        actor = Actor(coplayer.load("runs/ppi-mixed")[0], game)
        action = actor.act(observation)

    `seed`: of all random numbers of the player. Two actors with one seed that see the same take the same actions.
    Raises `CoplayerError` for a player who cannot play the game.
    """

    def __init__(self, player: Player, game: Game, *, seed: int = 0):
        require_kind("player", player, Player)
        require_game(game)
        require_whole("seed", seed, at_least=0)
        player.check(game)
        self.player, self.game = player, game
        self._key = jax.random.key(seed)
        self.begin()

    def begin(self) -> None:
        """Forget everything: a new match begins."""
        self._state = self.player.begin(self._fresh_key(), 1)
        self._rounds: list[tuple[Array, Array, Any]] = []  # of the episode: observation, action, notes

    def act(self, observation: ArrayLike) -> int:
        """The action after an observation: a whole number, or `[size]` real numbers, as the game has them."""
        seen = self._as_seen(observation)
        self._state, action, notes = act_at_once(self.player, self._state, seen, self._fresh_key())
        self._rounds.append((seen, action, notes))
        return int(action[0])

    def learn(self, rewards: Sequence[float], beyond: ArrayLike) -> None:
        """The episode is over: the player learns as it does in a match, and the next episode of the match begins.

        `rewards`: of the player in each round since the episode began. `beyond`: its observation after the last round.
        A player that does not learn only forgets the episode, unless it remembers all episodes of a match.
        """
        played = len(self._rounds)
        require(played > 0, "learn: no round has been played since the episode began")
        require(len(rewards) == played, f"rewards: must be of {played} rounds, got {len(rewards)}")
        seen, actions, notes = jax.tree.map(lambda *leaves: jnp.stack(leaves), *self._rounds)
        earned = jnp.asarray(np.asarray(rewards, np.float32)[:, None])
        episode = Episode(seen, actions, earned, {}, self._as_seen(beyond))
        self._state = _learn(self.player, self._state, episode, notes, self._fresh_key())
        self._rounds = []

    def _fresh_key(self) -> PRNGKeyArray:
        self._key, fresh = jax.random.split(self._key)
        return fresh

    def _as_seen(self, observation: ArrayLike) -> Array:
        """An observation as players see it, at one table."""
        space = self.game.observation_space
        symbol = isinstance(space, Symbol)
        shape, dtype = ((), np.int32) if symbol else ((space.size,), np.float32)
        seen = np.asarray(observation)
        fits = seen.shape == shape and (not symbol or np.issubdtype(seen.dtype, np.integer))
        require(fits, f"observation: must be of {space}, got {seen.dtype} of shape {seen.shape}")
        require(symbol or bool(np.isfinite(seen).all()), "observation: must be finite numbers")
        known = not symbol or 0 <= int(seen) < space.size
        require(known, f"observation: must be 0 to {space.size - 1}, got {seen}")
        return jnp.asarray(seen.astype(dtype)[None])
