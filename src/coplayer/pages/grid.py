"""The page on which a person plays a game on a grid against agents, and looks at episodes that the agents played."""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import singledispatch
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coplayer.errors import CoplayerError, require
from coplayer.games import cleanup, coin
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.games.game import Game
from coplayer.games.grid import Scene
from coplayer.pages.play import FORMAT, Form, Seated, entry_of, page_of, write_new
from coplayer.players.walker import STRATEGIES, Walker

SCRIPTS = ("mind.js", "grid.js", "draw.js", "frame.js", "board.js", "walk.js")
STYLES = ("play.css", "walk.css")
CLEANUP = Form(
    "CleanUp-lite, a game of two",
    "An orchard, a river, and someone else",
    "Apples grow only while the river is clean. Whoever walks off to clean it leaves the apples to the other. Will you "
    "clean, will you wait, and what will the other one do?",
    STYLES,
    SCRIPTS,
)
COIN = Form(
    "The coin game, a game of two",
    "Whose coin is it?",
    "Any coin is worth a point to whoever takes it. A coin that belongs to the other costs the other two points. Will "
    "you leave it lying, and will the other one leave yours?",
    STYLES,
    SCRIPTS,
)


class Replay(NamedTuple):
    """An episode at one table, as it was played. Arrays are `[round, 2]`, with a column for each player."""

    names: tuple[str, str]
    title: str
    scenes: Sequence[Scene]  # before each round and after the last, as the first player sees it
    actions: np.ndarray
    rewards: np.ndarray
    measures: Mapping[str, np.ndarray]  # what was measured of each player, true or false


def write_grid_page(path: Path, game: Game, players: Mapping[str, Seated], replays: Sequence[Replay]) -> None:
    """Write the page of these players, the simple strategies and these episodes to `path`, a file that does not exist
    yet.

    Raises `CoplayerError` where a page has no rules of the game, or where the file exists. Raises `CoplayerError` also
    for a player that does not fit the game or a page (see `minds.described`).
    """
    write_new(path, page_of(data_of(game, players, replays), form_of(game)))


def data_of(game: Game, players: Mapping[str, Seated], replays: Sequence[Replay]) -> dict[str, Any]:
    """All that the page's JavaScript is given, as JSON."""
    require(bool(players), "players: a page needs at least one")
    rules = rules_of(game)
    simple = {
        name: Seated(Walker(game, name), each.shows)
        for name, each in STRATEGIES[type(game)].items()
        if name not in players
    }
    return {
        "format": FORMAT,
        "game": {"actions": game.num_actions, **rules},
        "players": [entry_of(name, seated, game) for name, seated in {**players, **simple}.items()],
        "replays": [written(replay) for replay in replays],
        "made": f"coplayer {version('coplayer')}",
    }


@singledispatch
def rules_of(game: Game) -> dict[str, Any]:
    """The rules of a game as `grid.js` takes them: a name, and the numbers in the rules. Refuses any other game."""
    raise CoplayerError(f"game: a page plays matrix games, CleanUpLite and CoinGame, not {type(game).__name__}")


@rules_of.register
def _(game: CleanUpLite) -> dict[str, Any]:
    numbers = {
        name.lower(): getattr(cleanup, name)
        for name in ("COLUMNS", "ROWS", "FIRST_DIRT", "DIRT_CHANCE", "TOO_DIRTY", "ZAP_REACH", "ZAP_CHANCE")
    }
    return {
        "name": "cleanup-lite",
        **dataclasses.asdict(game),
        **numbers,
        "frozen_rounds": cleanup.FROZEN_ROUNDS,
        "zap": cleanup.ZAP,
    }


@rules_of.register
def _(game: CoinGame) -> dict[str, Any]:
    numbers = {"columns": game.size, "rows": game.size, "worth": coin.WORTH, "damage": coin.DAMAGE}
    return {"name": "coin", **dataclasses.asdict(game), **numbers}


def form_of(game: Game) -> Form:
    """The kind of page that a game has."""
    return CLEANUP if isinstance(game, CleanUpLite) else COIN


def written(replay: Replay) -> dict[str, Any]:
    """An episode in few characters; `recorded` in `grid.js` reads it. A scene is a list of whole numbers. First come
    the cells of both players, then a number with a bit for each player who is frozen. Last comes one number for each
    thing, made of its cell and kind.
    """
    kinds = sorted({kind for scene in replay.scenes for kind in scene.things.values()})
    columns = replay.scenes[0].size[0]

    def cell(place: tuple[int, int]) -> int:
        return place[1] * columns + place[0]

    def numbers(scene: Scene) -> list[int]:
        frozen = sum(1 << player for player, still in enumerate(scene.frozen) if still)
        things = [cell(place) * len(kinds) + kinds.index(kind) for place, kind in scene.things.items()]
        return [*map(cell, scene.players), frozen, *things]

    def digits(values: np.ndarray) -> list[str]:
        return ["".join(str(int(value)) for value in column) for column in np.asarray(values).T]

    return {
        "names": list(replay.names),
        "title": replay.title,
        "kinds": kinds,
        "scenes": [numbers(scene) for scene in replay.scenes],
        "actions": digits(replay.actions),
        "rewards": [[int(r) if r == int(r) else float(r) for r in column] for column in replay.rewards.T],
        "measures": {name: digits(values) for name, values in replay.measures.items()},
    }
