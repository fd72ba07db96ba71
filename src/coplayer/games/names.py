"""Games by name: what `--game NAME` and config.json mean."""

import dataclasses
from typing import Any

from coplayer.errors import CoplayerError, first_line, require
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.coin import CoinGame
from coplayer.games.game import Game, check_game
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.games.public_goods import PublicGoods

GAMES: dict[str, Game] = {
    "ipd": prisoners_dilemma(),
    "matrix": MatrixGame((1.0, -1.0, 2.0, 0.0)),
    "public-goods": PublicGoods(),
    "cleanup-lite": CleanUpLite(),
    "coin": CoinGame(),
}
"""Each game by its name, with its default settings: those are the fields of the game."""
OURS = tuple(GAMES)


def register(name: str, game: Game) -> None:
    """Make a game known under a name, with its default settings: to `--game`, and to runs that are read back.

    Raises `CoplayerError` for the name of a game of this package, and unless the game is one that can be played (see
    `games.game.check_game`).
    """
    require(isinstance(name, str) and bool(name), f"game: its name must be a text, got {name!r}")
    require(name not in OURS or GAMES.get(name) == game, f"game: the name {name} is taken")
    check_game(game)
    GAMES[name] = game


def described(game: Game) -> dict[str, Any]:
    """A game as config.json has it: its name among `GAMES`, and its settings.

    Raises `CoplayerError` for a game of a kind that is not among `GAMES`.
    """
    for name, known in GAMES.items():
        if type(known) is type(game) and (name != "ipd" or game.payoffs == known.payoffs):
            return {"name": name} | dataclasses.asdict(game)
    raise CoplayerError(f"game: {type(game).__name__} has no name; give it one by coplayer.register_game(name, game)")


def from_description(description: Any) -> Game:
    """The inverse of `described`. Settings that are not given have the defaults of the game of that name.

    Raises `CoplayerError` for an unknown name or setting, and for values that the game refuses.
    """
    require(
        isinstance(description, dict),
        f"game: must be an object with a name and settings, got {description!r}",
    )
    name, settings = description.get("name"), {k: v for k, v in description.items() if k != "name"}
    require(
        isinstance(name, str) and name in GAMES,
        f"game: {name!r} is not one of {', '.join(GAMES)}; register a game of your own before its run is read",
    )
    known = {field.name for field in dataclasses.fields(GAMES[name])}
    require(settings.keys() <= known, f"game: {name} has no setting {', '.join(sorted(settings.keys() - known))}")
    try:
        return dataclasses.replace(GAMES[name], **{k: as_tuples(v) for k, v in settings.items()})
    except CoplayerError as error:
        raise CoplayerError(f"game.{error}") from error
    except (TypeError, ValueError) as error:
        raise CoplayerError(f"game: the settings of {name} are damaged ({first_line(error)})") from error


def as_tuples(value: Any) -> Any:
    """Lists, as JSON has them, as the tuples they were; so the lists within."""
    return tuple(map(as_tuples, value)) if isinstance(value, list) else value
