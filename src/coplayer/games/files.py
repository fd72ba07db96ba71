"""A user's own game from a file: what `--game path/to/file.py:ClassName` means."""

import ast
import hashlib
import importlib.util
import sys
from pathlib import Path

from coplayer.errors import CoplayerError, in_short, require
from coplayer.games.game import Game

FORM = "path/to/file.py:ClassName"
_FINGERPRINTS: dict[type, str] = {}


def names_a_file(text: str) -> bool:
    """Whether a text has the form of a file and a class in it."""
    return text.rpartition(":")[0].endswith(".py")


def load(text: str) -> tuple[str, Game]:
    """Run the file of `path/to/file.py:ClassName` and make the game of that class, with its default settings.

    Returns the name under which the game is kept, `file.py:ClassName`, and the game. The name does not depend on the
    folder from which the file was named. Raises `CoplayerError` where there is no such file, class, or game.
    """
    require(names_a_file(text), f"game: {text!r} must have the form {FORM}")
    file, _, name = text.rpartition(":")
    path = Path(file)
    require(path.is_file(), f"game: {path}: no such file")
    spec = importlib.util.spec_from_file_location(f"coplayer_game_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses and help texts look for it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise CoplayerError(f"game: {path} cannot be run ({in_short(error)})") from error
    require(hasattr(module, name), f"game: {path} has no class {name}")
    try:
        game = getattr(module, name)()
    except Exception as error:
        raise CoplayerError(f"game: {name} of {path} cannot be made without arguments ({in_short(error)})") from error
    require(isinstance(game, Game), f"game: {name} of {path} is not a game (see coplayer.games.game.Game)")
    code = ast.unparse(ast.parse(path.read_bytes()))  # without comments and layout
    _FINGERPRINTS[type(game)] = hashlib.sha256(f"{name}\n{code}".encode()).hexdigest()
    return f"{path.name}:{name}", game


def fingerprint(game: Game) -> str | None:
    """The SHA-256 of the name of a game's class and of the code in its file, without comments and layout. None for a
    game that was not loaded.
    """
    return _FINGERPRINTS.get(type(game))
