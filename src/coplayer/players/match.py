"""Matches between any two players.

A player is a pytree (an equinox Module) with three methods; whatever it remembers lives in its state:

    initial_state(batch) -> state                 before the first round of `batch` games
    act(state, key) -> actions [batch]
    update(state, joint [batch], reward [batch]) -> state     after a round, in the player's own view
"""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from coplayer.games.matrix import MatrixGame


@runtime_checkable
class Player(Protocol):
    """Anything that can sit at a matrix game's table."""

    def initial_state(self, batch: int) -> Any: ...

    def act(self, state: Any, key: PRNGKeyArray) -> Int[Array, " batch"]: ...

    def update(self, state: Any, joint: Int[Array, " batch"], reward: Float[Array, " batch"]) -> Any: ...


@runtime_checkable
class InformedPlayer(Player, Protocol):
    """A player that can be told whom it meets."""

    def told(self, probabilities: Float[Array, "batch observations actions"]) -> Player:
        """The player who knows the memory-1 co-player of each of its next `batch` episodes."""


@eqx.filter_jit
def play_match(
    first: Player, second: Player, game: MatrixGame, key: PRNGKeyArray, *, episodes: int = 1
) -> UInt8[Array, "rounds batch"]:
    """Play `episodes` independent episodes side by side: joint actions in the view of `first`.

    Use `game.swap` for the other's view and `game.reward(joint)` for the rewards.
    """

    def step(states, index):
        round_key = jax.random.fold_in(key, index)
        first_state, second_state = states
        own = first.act(first_state, jax.random.fold_in(round_key, 0))
        other = second.act(second_state, jax.random.fold_in(round_key, 1))
        joint = game.joint(own, other)
        swapped = game.swap(joint)
        first_state = first.update(first_state, joint, game.reward(joint, 0))
        second_state = second.update(second_state, swapped, game.reward(swapped, 1))
        return (first_state, second_state), joint.astype(jnp.uint8)

    start = (first.initial_state(episodes), second.initial_state(episodes))
    return jax.lax.scan(step, start, jnp.arange(game.rounds))[1]
