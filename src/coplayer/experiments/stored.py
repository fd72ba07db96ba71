"""An experiment's settings as config.json has them: checked, written, and read back."""

import dataclasses
import functools
import json
import os
import typing
from numbers import Integral, Real
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import numpy as np

from coplayer.errors import CoplayerError, require, require_kind
from coplayer.games import names
from coplayer.games.game import Game, require_game
from coplayer.settings import GAME, groups_of

T = TypeVar("T")
FORMAT = 2
"""The form of config.json: a game by name and settings in groups. Version 0.1 had one flat list of settings."""
WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", Path: "a path"}
MANY = {int: "whole numbers", float: "numbers", bool: "truth values", str: "texts", Path: "paths"}


def built_on(settings: Any) -> dict[str, Path]:
    """The folders of other runs that settings name, by the setting."""
    named = {
        field.name: getattr(group, field.name) for group in groups_of(settings).values() for field in _paths(group)
    }
    return {name: Path(value) for name, value in named.items() if value is not None}


def _paths(group: Any) -> list[dataclasses.Field]:
    """The fields of a group that name folders of other runs."""
    return [field for field in dataclasses.fields(group) if _kinds(type(group))[field.name] == Path | None]


@functools.cache
def _kinds(cls: type) -> dict[str, Any]:
    """The annotated types of a dataclass's fields."""
    return typing.get_type_hints(cls)


def typed(settings: T) -> T:
    """The settings with every value of its declared type: lists become tuples, and NumPy's numbers Python's.

    Raises `CoplayerError` with the setting's name for a value of another type.
    """
    require_game(settings.game)
    for name, group in groups_of(settings).items():
        require_kind(name, group, _kinds(type(settings))[name])
    groups = {name: _typed_fields(group) for name, group in groups_of(settings).items()}
    return dataclasses.replace(settings, game=_typed_game(settings.game), **groups)


def _typed_fields(group: T) -> T:
    return dataclasses.replace(group, **typed_values(type(group), vars(group)))


def _typed_game(game: T) -> T:
    """A game whose own settings are of their declared types."""
    if not dataclasses.is_dataclass(game):
        return game
    given = {field.name: getattr(game, field.name) for field in dataclasses.fields(game) if field.init}
    return dataclasses.replace(game, **typed_values(type(game), given, "game."))


def typed_values(cls: type, values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of a dataclass's fields, each of its declared type. `prefix`: what the names begin with in errors."""
    return {name: as_kind(value, _kinds(cls)[name], prefix + name) for name, value in values.items()}


def as_kind(value: Any, kind: Any, name: str) -> Any:
    """A value as its annotated type has it. Annotations other than those of plain values allow everything."""
    found = _converted(value, kind)
    require(found is not _NOTHING, f"{name}: must be {_words(kind)}, got {value!r}")
    return found


_NOTHING = object()


def _converted(value: Any, kind: Any) -> Any:
    """The value as `kind` has it, or `_NOTHING` where it is of another kind."""
    origin, arguments = get_origin(kind), get_args(kind)
    if isinstance(value, np.generic):
        value = value.item()
    if origin in (Union, UnionType):
        found = (_converted(value, one) for one in arguments)
        return next((one for one in found if one is not _NOTHING), _NOTHING)
    if origin is tuple:
        if not isinstance(value, list | tuple | np.ndarray):
            return _NOTHING
        many = len(arguments) == 2 and arguments[1] is Ellipsis
        kinds = (arguments[0],) * len(value) if many else arguments
        if len(kinds) != len(value):
            return _NOTHING
        items = tuple(_converted(item, one) for item, one in zip(value, kinds, strict=True))
        return _NOTHING if any(item is _NOTHING for item in items) else items
    if origin is Literal:
        return value if value in arguments else _NOTHING
    if kind is Path:
        return Path(value) if isinstance(value, str | os.PathLike) else _NOTHING
    plain = {int: Integral, float: Real, bool: bool, str: str, NoneType: NoneType, None: NoneType}
    if kind not in plain:
        return value
    mistaken = isinstance(value, bool) and kind is not bool  # Python's True is an int
    return value if isinstance(value, plain[kind]) and not mistaken else _NOTHING


def _words(kind: Any) -> str:
    """What an annotated type allows, in words."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(map(_words, arguments))
    if origin is tuple and len(arguments) == 2 and arguments[1] is Ellipsis:
        return f"a list of {MANY.get(arguments[0], 'values')}"
    if origin is tuple:
        return f"a list of {len(arguments)} values"
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    return "none" if kind in (NoneType, None) else WORDS.get(kind, str(kind))


def described(settings: Any, out: Path) -> dict[str, Any]:
    """The settings as config.json in the folder `out` has them. Folders of other runs are relative to `out`,
    with / on every system."""
    relative = {name: Path(os.path.relpath(path, out)).as_posix() for name, path in built_on(settings).items()}
    groups = {
        name: {key: relative.get(key, value) for key, value in dataclasses.asdict(group).items()}
        for name, group in groups_of(settings).items()
    }
    stored = {GAME: names.described(settings.game)} | groups
    try:
        json.dumps(stored)
    except TypeError as error:
        raise CoplayerError(
            f"game: the settings of {type(settings.game).__name__} must be numbers, texts, or tuples of them ({error})"
        ) from error
    return stored


def read(stored: dict[str, Any], default: T, out: Path) -> T:
    """The inverse of `described`. `default`: the settings with the default of every value that is not stored. So
    settings that are newer than the run leave things as they were before.
    """
    groups = groups_of(default)
    unknown = [name for name in stored if name not in groups and name != GAME]
    for name, group in groups.items():
        values = stored.get(name, {})
        require(isinstance(values, dict), f"{name}: must be an object of settings, got {values!r}")
        unknown += sorted(values.keys() - {field.name for field in dataclasses.fields(group)})
    require(not unknown, f"unknown setting {', '.join(unknown)}")
    read_groups = {name: _read_group(stored.get(name, {}), group, out) for name, group in groups.items()}
    return dataclasses.replace(default, game=_read_game(stored.get(GAME)), **read_groups)


def _read_group(values: dict[str, Any], default: T, out: Path) -> T:
    group = dataclasses.replace(default, **typed_values(type(default), values))
    folders = {field.name: getattr(group, field.name) for field in _paths(group) if field.name in values}
    found = {name: Path(os.path.normpath(out / path)) for name, path in folders.items() if path is not None}
    return dataclasses.replace(group, **found)


def _read_game(description: Any) -> Game:
    require(isinstance(description, dict), f"game: must be an object with the game's name, got {description!r}")
    name = description.get("name")
    require(
        isinstance(name, str) and name in names.GAMES,
        f"game: {name!r} is not one of {', '.join(names.GAMES)}; name the file of your own game by --game-file (in "
        "train by --game), or make it known by coplayer.register_game",
    )
    known = {field.name for field in dataclasses.fields(names.GAMES[name])}
    values = {key: value for key, value in description.items() if key in known}
    typed_values(type(names.GAMES[name]), values, "game.")
    return names.from_description(description)
