"""The one loop of rounds, `play_rounds`, and matches. All play goes through that loop, but for
automata among each other, whose rounds `analysis.round_robin` plays by table look-ups alone.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PRNGKeyArray

from coplayer.errors import CoplayerError, require, require_key, require_whole
from coplayer.games.game import Game, require_game
from coplayer.play.player import Player, act
from coplayer.play.seating import Watched
from coplayer.play.tables import Tables, table_keys, tables_of
from coplayer.play.trajectory import Trajectory

BEGIN, TABLES, LEARN = (2**32 - 1 - i for i in range(3))  # streams of random numbers; those of rounds count up from 0
Actions = tuple[Int[Array, " batch"], ...]


class Played(NamedTuple):
    """Rounds just played, and what is needed to go on from there."""

    records: Any  # of the tables, with a leading axis of rounds
    notes: tuple[Any, ...]  # each player's notes, with a leading axis of rounds
    world: Any
    states: tuple[Any, ...]

    def trajectory(self, tables: Tables) -> Trajectory:
        """The rounds that were played, for each player to look at."""
        return tables.trajectory(self.records, tuple(seen[None] for seen in tables.beyond(self.world)))


def play_rounds(
    tables: Tables,
    players: Sequence[Player],
    world: Any,
    states: tuple[Any, ...],
    chance: tuple[Any, ...],
    *,
    meet: Callable[[Actions], Actions] | None = None,
) -> Played:
    """Play on from a world of these tables and all players' states.

    `chance`: for each player, the argument `key` of its `act` in each round, with a leading axis of rounds. Its length
    says how many rounds are played. `meet`: takes the actions that the players chose and gives the actions that are
    played. It puts in the actions of players who act elsewhere (see `play.seating.Absent`).
    """

    def play_round(carry, chance):
        world, states = carry
        acted = []
        for k, (player, state, key) in enumerate(zip(players, states, chance, strict=True)):
            with naming(k):
                acted.append(act(player, state, tables.observe(world, k), key))
        states, actions, notes = zip(*acted, strict=True)
        world, record = tables.step(world, actions if meet is None else meet(actions))
        return (world, states), (record, notes)

    (world, states), (records, notes) = jax.lax.scan(play_round, (world, states), chance)
    return Played(records, notes, world, states)


def play_episodes(
    tables: Tables,
    players: Sequence[Player],
    states: tuple[Any, ...],
    chance: Callable[[Int[Array, ""]], tuple[Any, ...]],
    key: PRNGKeyArray,
    *,
    batch: int,
    episodes: int,
) -> tuple[Trajectory, tuple[Any, ...]]:
    """Play episodes one after the other at `batch` tables. After each episode all players learn.

    `states`: of the players, before the first round. `chance(index)`: the random numbers of episode `index`, as
    `play_rounds` takes them. `key`: for the tables and for learning. Returns the trajectory of all rounds in a row, and
    each player's notes on them.
    """

    def episode(states, index):
        own = jax.random.fold_in(key, index)
        world = tables.open(table_keys(jax.random.fold_in(own, TABLES), batch))
        played = play_rounds(tables, players, world, states, chance(index))
        trajectory = played.trajectory(tables)
        states = tuple(
            player.learn(state, trajectory.view(k), notes, jax.random.fold_in(own, LEARN - k))
            for k, (player, state, notes) in enumerate(zip(players, played.states, played.notes, strict=True))
        )
        return states, (played.records, tables.beyond(played.world), played.notes)

    _, (records, ends, notes) = jax.lax.scan(episode, states, jnp.arange(episodes))
    records, notes = jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (records, notes))
    return tables.trajectory(records, ends), notes


def begin(players: Sequence[Player], key: PRNGKeyArray, batch: int) -> tuple[Any, ...]:
    """All players' states before the first round."""
    own = jax.random.fold_in(key, BEGIN)
    return tuple(player.begin(jax.random.fold_in(own, k), batch) for k, player in enumerate(players))


def keys_of_rounds(key: PRNGKeyArray, rounds: Int[Array, " rounds"], players: int) -> tuple[Any, ...]:
    """A key for each player in each of these rounds, which are given by their numbers: `[rounds]` keys per player."""
    of_round = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, rounds)
    return tuple(jax.vmap(jax.random.fold_in, in_axes=(0, None))(of_round, k) for k in range(players))


def check_players(players: Sequence[Player], game: Game) -> None:
    """Refuse players who cannot play the game together, by a `CoplayerError` that says which player and why."""
    require_game(game)
    require(
        len(players) == game.num_players,
        f"players: this game has {game.num_players} seats, got {len(players)} players",
    )
    for number, player in enumerate(players):
        require(isinstance(player, Player), f"player {number + 1}: {type(player).__name__} is not a coplayer.Player")
        with naming(number):
            player.check(game)


@contextmanager
def naming(number: int) -> Iterator[None]:
    """A refusal "player: ..." from within names the player by its number."""
    try:
        yield
    except CoplayerError as error:
        text = str(error)
        if not text.startswith("player: "):
            raise
        raise CoplayerError(f"player {number + 1}: {text.removeprefix('player: ')}") from error


def play_match(
    players: Sequence[Player],
    game: Game,
    key: PRNGKeyArray,
    *,
    episodes: int = 1,
    inner_episodes: int = 1,
    turned: int = 0,
) -> Trajectory:
    """Play a match: `episodes` independent episodes side by side, each with one player in every seat of the game.

    With `inner_episodes` > 1, each of the `episodes` is that many inner episodes in a row, and the players may learn
    after each of these. Player k of the list sits in seat k + `turned`, counted around the table.

    In the trajectory all rounds, of all inner episodes, are on the first axis. `trajectory.view(k)` is an `Episode`:
    what player k saw, did and earned. A matrix game also has `trajectory.joint`: joint actions `[rounds, episodes]` as
    bytes, in the view of player 0.

    Raises `CoplayerError` where the players do not fit the game, for fewer than 1 episode, and for actions that the
    game does not have. A match inside a traced function is not searched for such actions.
    """
    require(isinstance(players, Sequence), f"players: must be a list of coplayer.Player, got {players!r}")
    check_players(players, game)
    require_key(key)
    require_whole("turned", turned, at_least=0)
    for name, count in (("episodes", episodes), ("inner_episodes", inner_episodes)):
        require_whole(name, count, at_least=1)
    if isinstance(key, jax.core.Tracer):
        return _play_match(tuple(players), game, key, episodes, inner_episodes, turned)[0]
    trajectory, taken = _play_match(tuple(players), game, key, episodes, inner_episodes, turned)
    for number, actions in enumerate(taken):
        check_actions(number, actions, game)
    return trajectory


def check_actions(number: int, actions: Int[Array, "..."], game: Game) -> None:
    """Refuse actions of player `number` that the game does not have. Only where the actions are known, not traced."""
    least, most = int(actions.min()), int(actions.max())
    require(
        0 <= least and most < game.num_actions,
        f"player {number + 1}: this game has the actions 0 to {game.num_actions - 1}, the player took "
        f"{least if least < 0 else most}",
    )


@eqx.filter_jit
def _play_match(
    players: tuple[Player, ...], game: Game, key: PRNGKeyArray, episodes: int, inner_episodes: int, turned: int
) -> tuple[Trajectory, tuple[Int[Array, "..."], ...]]:
    """The trajectory, and each player's actions. The players' own notes are left out, since they can be large."""
    players = tuple(map(Watched, players))
    tables, states, rounds = tables_of(game, turned), begin(players, key, episodes), jnp.arange(game.rounds)
    if inner_episodes == 1:
        world = tables.open(table_keys(jax.random.fold_in(key, TABLES), episodes))
        played = play_rounds(tables, players, world, states, keys_of_rounds(key, rounds, len(players)))
        return played.trajectory(tables), tuple(actions for _, actions in played.notes)

    def chance_of(index: Int[Array, ""]) -> tuple[Any, ...]:
        return keys_of_rounds(key, index * game.rounds + rounds, len(players))

    trajectory, notes = play_episodes(
        tables, players, states, chance_of, jax.random.fold_in(key, TABLES), batch=episodes, episodes=inner_episodes
    )
    return trajectory, tuple(actions for _, actions in notes)
