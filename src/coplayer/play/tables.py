"""Many tables of one game at once: the rules of one table, mapped over a batch of tables.

The states of all tables together are the *world*. Players are numbered from 0, by their places in the list of players.
A seat is a place at the table of the game. Player k sits in seat (k + turned) modulo the number of seats: with `turned`
any player can play from any seat.
"""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PRNGKeyArray

from coplayer.games.game import Game
from coplayer.games.matrix import START, MatrixGame, observe
from coplayer.play.trajectory import Episode, JointActions, Recorded, Trajectory

Turned = int | Int[Array, ""] | Int[Array, " batch"]


class Tables(abc.ABC):
    """Tables of one game. `tables_of` gives the fastest kind for a game."""

    game: Game
    draws: bool = True  # whether the game itself draws random numbers, so that keys matter

    @abc.abstractmethod
    def open(self, keys: Key[Array, " batch"]) -> Any:
        """The world before the first round. All chance in the game itself comes from these keys, one per table."""

    @abc.abstractmethod
    def observe(self, world: Any, player: int) -> Array:
        """What one player sees at each table: `[batch]` symbols, or `[batch, size]` vectors."""

    @abc.abstractmethod
    def step(self, world: Any, actions: tuple[Int[Array, " batch"], ...]) -> tuple[Any, Any]:
        """The world after a round, and the round's record, from the actions of all players."""

    @abc.abstractmethod
    def trajectory(self, records: Any, ends: tuple[Array, ...]) -> Trajectory:
        """The trajectory of the records of some rounds, `[time, ...]`. `ends`: what each player sees after each inner
        episode, `[inner episodes, ...]`.
        """

    def beyond(self, world: Any) -> tuple[Array, ...]:
        """What each player sees at each table."""
        return tuple(self.observe(world, player) for player in range(self.game.num_players))


class MatrixTables(Tables):
    """Tables of a matrix game. The world is what player 0 sees at each table. A round's record is a joint action per
    table, in the view of player 0.
    """

    draws = False

    def __init__(self, game: MatrixGame, turned: int | Int[Array, ""] = 0):
        self.game = game
        self.turned = turned

    def open(self, keys):
        return jnp.full((len(keys),), START)

    def observe(self, world, player):
        return world if player == 0 else self.game.seen_opposite(world)

    def step(self, world, actions):
        joint = self.game.joint(*actions)
        return observe(joint), joint.astype(jnp.uint8)

    def trajectory(self, records, ends):
        return JointActions(records, self.game, self.turned)


class World(NamedTuple):
    """The world of `MappedTables`."""

    states: Any  # of the game, with a leading axis of tables
    keys: Key[Array, " batch"]
    round: Int[Array, ""]  # rounds played


class MappedTables(Tables):
    """Tables of any game. A round's record is an `Episode` per player, without what lies beyond."""

    def __init__(self, game: Game, turned: Turned = 0):
        self.game = game
        self.turned = turned

    def open(self, keys):
        return World(jax.vmap(self.game.reset)(_streams(keys, 0)), keys, jnp.zeros((), jnp.int32))

    def _seats(self, world: World, player: int) -> Int[Array, " batch"]:
        return jnp.broadcast_to((player + self.turned) % self.game.num_players, world.keys.shape)

    def observe(self, world, player):
        return jax.vmap(self.game.observe)(world.states, self._seats(world, player))

    def step(self, world, actions):
        game, seats = self.game, [self._seats(world, player) for player in range(len(actions))]
        tables = jnp.arange(len(world.keys))
        seated = jnp.zeros((len(tables), len(actions)), jnp.int32)
        for seat, action in zip(seats, actions, strict=True):
            seated = seated.at[tables, seat].set(action)
        states, rewards = jax.vmap(game.step)(world.states, seated, _streams(world.keys, world.round + 1))
        record = tuple(
            Episode(
                observations=self.observe(world, player),
                actions=action,
                rewards=rewards[tables, seat],
                measures=jax.vmap(game.measure)(world.states, seated, states, seat),
                beyond=None,
            )
            for player, (seat, action) in enumerate(zip(seats, actions, strict=True))
        )
        return World(states, world.keys, world.round + 1), record

    def trajectory(self, records, ends):
        views = tuple(record._replace(beyond=end[-1]) for record, end in zip(records, ends, strict=True))
        return Recorded(views, ends)


def _streams(keys: Key[Array, " batch"], index: int | Int[Array, ""]) -> Key[Array, " batch"]:
    return jax.vmap(jax.random.fold_in, in_axes=(0, None))(keys, index)


def tables_of(game: Game, turned: Turned = 0) -> Tables:
    """The fastest tables of a game. Player k sits in seat k + `turned`; `turned` may differ from table to table, except
    in a matrix game.
    """
    return MatrixTables(game, turned) if isinstance(game, MatrixGame) else MappedTables(game, turned)


def table_keys(key: PRNGKeyArray, batch: int) -> Key[Array, " batch"]:
    """A key for each of `batch` tables."""
    return jax.random.split(key, batch)
