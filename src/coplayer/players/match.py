"""Matches between any two players.

A player is a pytree (an equinox Module) with three methods; whatever it remembers lives in its state:

    initial_state(batch) -> state                 before the first round of `batch` games
    act(state, key) -> actions [batch]
    update(state, joint [batch], reward [batch]) -> state     after a round, in the player's own view

Where several inner episodes are played in a row, a player begins each anew, unless it has a fourth method:

    next_episode(state) -> state                  before the first round of the next inner episode

A player with an attribute `num_actions` is refused in games of another number.
"""

from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, UInt8

from coplayer.errors import require
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


@runtime_checkable
class LastingPlayer(Player, Protocol):
    """A player that may remember earlier inner episodes."""

    def next_episode(self, state: Any) -> Any:
        """The state before the first round of the next inner episode."""


def play_rounds(
    first: Player,
    second: Player,
    game: MatrixGame,
    states: tuple[Any, Any],
    key: PRNGKeyArray,
    indices: Int[Array, " rounds"],
    opening: Int[Array, ""] | None = None,
) -> tuple[tuple[Any, Any], UInt8[Array, "rounds batch"]]:
    """Play on from both players' states: their states after it, and joint actions in the view of `first`. Each round
    has the random numbers of its index. `opening`: what `first` plays in the round of index 0, whatever it would.
    """

    def step(states, index):
        round_key = jax.random.fold_in(key, index)
        first_state, second_state = states
        own = first.act(first_state, jax.random.fold_in(round_key, 0))
        if opening is not None:
            own = jnp.where(index == 0, opening, own)
        other = second.act(second_state, jax.random.fold_in(round_key, 1))
        joint = game.joint(own, other)
        swapped = game.swap(joint)
        first_state = first.update(first_state, joint, game.reward(joint, 0))
        second_state = second.update(second_state, swapped, game.reward(swapped, 1))
        return (first_state, second_state), joint.astype(jnp.uint8)

    return jax.lax.scan(step, states, indices)


@eqx.filter_jit
def play_match(
    first: Player, second: Player, game: MatrixGame, key: PRNGKeyArray, *, episodes: int = 1, inner_episodes: int = 1
) -> UInt8[Array, "rounds batch"]:
    """Play `episodes` independent episodes side by side: joint actions in the view of `first`. With `inner_episodes`
    each is that many episodes in a row, all their rounds on the first axis.

    Use `game.swap` for the other's view and `game.reward(joint)` for the rewards. Raises `CoplayerError` where a player
    is made for another number of actions.
    """
    for number, player in enumerate((first, second)):
        actions = getattr(player, "num_actions", game.num_actions)
        require(
            actions == game.num_actions,
            f"player {number + 1}: is made for {actions} actions, this game has {game.num_actions}",
        )

    def begun_anew(player, state):
        return player.next_episode(state) if isinstance(player, LastingPlayer) else player.initial_state(episodes)

    def inner_episode(states, indices):
        states, joint = play_rounds(first, second, game, states, key, indices)
        return (begun_anew(first, states[0]), begun_anew(second, states[1])), joint

    start = (first.initial_state(episodes), second.initial_state(episodes))
    if inner_episodes == 1:
        return play_rounds(first, second, game, start, key, jnp.arange(game.rounds))[1]
    indices = jnp.arange(inner_episodes * game.rounds).reshape(inner_episodes, game.rounds)
    return jax.lax.scan(inner_episode, start, indices)[1].reshape(-1, episodes)
