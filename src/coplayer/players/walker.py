"""Simple strategies of the games on a grid, CleanUp-lite and the coin game: fixed players to meet beside agents.

A strategy looks at the grid as it is and remembers nothing. Its distances are counted along rows and columns; in the
coin game they go around the torus, where that is shorter. Of things that are equally near it seeks the one whose cell
comes first, row by row. It walks along its row first, then along its column.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from coplayer.errors import require
from coplayer.games.cleanup import COLUMNS, NOTHING, ORCHARD, RIVER, ROWS, CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.games.game import Game
from coplayer.games.grid import DOWN, LEFT, RIGHT, STEPS, UP
from coplayer.networks.layers import sample
from coplayer.play.player import Player, uniform


class Strategy(NamedTuple):
    """A strategy of one game."""

    shows: str
    """What it does, in a sentence."""
    policy: Callable[[Game, Float[Array, " size"]], Float[Array, " actions"]]
    """The probabilities of the actions at one table, from what the player sees."""


class Walker(Player):
    """A strategy of CleanUp-lite or of the coin game (see `named_walker`). It draws one uniform number per round and
    table.
    """

    game: Game = eqx.field(static=True)
    strategy: str = eqx.field(static=True)

    @property
    def takes_uniforms(self) -> bool:
        return True

    def check(self, game: Game) -> None:
        same = type(game) is type(self.game) and game.observation_space == self.game.observation_space
        known = STRATEGIES.get(type(self.game), {})
        require(self.strategy in known, f"player: must be one of {', '.join(known)}, got {self.strategy!r}")
        require(same, f"player: {self.strategy} is a strategy of {self.game}, this game is {game}")

    def begin(self, key, batch):
        return None

    def act(self, state, observation, key):
        policy = STRATEGIES[type(self.game)][self.strategy].policy
        probabilities = jax.vmap(lambda seen: policy(self.game, seen))(observation)
        return state, sample(probabilities.T, uniform(key, observation.shape[:1])), None


def named_walker(game: Game, name: str) -> Walker:
    """The strategy of a game on a grid by its name among `STRATEGIES`, such as "greedy".

    Raises `CoplayerError` for a game that has no such strategies, and for a name that is not there.
    """
    require(type(game) in STRATEGIES, f"game: simple strategies play CleanUpLite and CoinGame, got {game!r}")
    known = STRATEGIES[type(game)]
    require(name in known, f"strategy: {name!r} is not one of {', '.join(known)}")
    return Walker(game, name)


def _at_random(game: Game, seen: Float[Array, " size"]) -> Float[Array, " actions"]:
    return jnp.full(game.num_actions, 1 / game.num_actions)


def _place(ones: Float[Array, " cells"], columns: int) -> Int[Array, " 2"]:
    """The column and the row of the only 1, or of the first one."""
    cell = jnp.argmax(ones)
    return jnp.stack([cell % columns, cell // columns])


def _towards(way: Int[Array, " 2"]) -> Int[Array, ""]:
    """The action that goes `way`, given in columns and rows; `NOTHING` where there is no way to go."""
    columns, rows = way
    along_column = jnp.where(rows > 0, DOWN, jnp.where(rows < 0, UP, NOTHING))
    return jnp.where(columns > 0, RIGHT, jnp.where(columns < 0, LEFT, along_column))


# CleanUp-lite


def _seek(kind: int, home: int, seen: Float[Array, " size"]) -> Float[Array, " actions"]:
    """Goes to the nearest thing of a kind, the first or the second of each cell. Where there is none, the player goes
    to the column `home` and waits there. The thing in its own cell is not sought: it is taken or cleaned before the
    player moves.
    """
    cells = COLUMNS * ROWS
    own = _place(seen[:cells], COLUMNS)
    there = (seen[2 * cells : 5 * cells].reshape(cells, 3)[:, kind] > 0) & (seen[:cells] == 0)
    places = jnp.stack([jnp.arange(cells) % COLUMNS, jnp.arange(cells) // COLUMNS], axis=1)
    distance = jnp.where(there, jnp.abs(places - own).sum(1), COLUMNS + ROWS)
    waiting = jnp.stack([home, own[1]])
    aim = jnp.where(there.any(), places[jnp.argmin(distance)], waiting)
    return jax.nn.one_hot(_towards(aim - own), CleanUpLite.num_actions)


def _harvest(game: CleanUpLite, seen: Float[Array, " size"]) -> Float[Array, " actions"]:
    return _seek(0, ORCHARD, seen)


def _clean(game: CleanUpLite, seen: Float[Array, " size"]) -> Float[Array, " actions"]:
    return _seek(1, RIVER, seen)


# The coin game


def _way_to_the_coin(game: CoinGame, seen: Float[Array, " size"]) -> Int[Array, " 2"]:
    """Columns and rows to the coin, the shorter way around; of two ways as long, to the right or down."""
    own, _, mine, others = jnp.split(seen, 4)
    back = (game.size - 1) // 2
    return (_place(mine + others, game.size) - _place(own, game.size) + back) % game.size - back


def _take_any(game: CoinGame, seen: Float[Array, " size"]) -> Float[Array, " actions"]:
    return jax.nn.one_hot(_towards(_way_to_the_coin(game, seen)), game.num_actions)


def _take_own(game: CoinGame, seen: Float[Array, " size"]) -> Float[Array, " actions"]:
    mine = jnp.split(seen, 4)[2]
    spares = ((_way_to_the_coin(game, seen) - STEPS) % game.size != 0).any(1)
    return jnp.where(mine.any(), _take_any(game, seen), spares / spares.sum())


RANDOM = Strategy("Every action is as likely as any other.", _at_random)
STRATEGIES: Mapping[type[Game], Mapping[str, Strategy]] = {
    CleanUpLite: {
        "random": RANDOM,
        "greedy": Strategy("Goes to the nearest apple, and waits in the orchard where there is none.", _harvest),
        "cleaner": Strategy("Goes to the nearest patch of dirt, and waits in the river where there is none.", _clean),
    },
    CoinGame: {
        "random": RANDOM,
        "greedy": Strategy("Goes to the coin, whatever its colour.", _take_any),
        "considerate": Strategy("Goes to coins of its own colour, and never takes one of the other's.", _take_own),
    },
}
"""Simple strategies by game and by name."""
