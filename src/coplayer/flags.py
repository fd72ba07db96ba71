"""The settings of an experiment as flags of the command line.

Every setting is a flag of its own name, such as `--hidden`. The game's settings begin with `--game.`, such as
`--game.rounds`. The help shows the flags by group. A group's docstring is its title, then perhaps a colon and a line on
the group. The docstring under a setting is the flag's help.
"""

import ast
import dataclasses
import functools
import inspect
import json
import shlex
import textwrap
import typing
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, TypeVar

import tyro

from coplayer.errors import CoplayerError, require
from coplayer.games import files, names
from coplayer.games.game import Game
from coplayer.settings import GAME, flat, groups_of

T = TypeVar("T")
OWN = "own_settings"  # the field of the flags that has the game's own settings
NEEDED = {"matrix": "payoffs"}  # the setting that a game by name cannot do without


def value_of(flag: str, arguments: list[str]) -> str | None:
    """The value of a flag among the arguments, for flags that decide which others there are."""
    given = None
    for word, following in pairwise([*arguments, ""]):
        name, equals, value = word.partition("=")
        if _plain(name) == flag:
            given = value if equals else following
    return given


def is_given(flag: str, arguments: list[str]) -> bool:
    """Whether a flag is among the arguments."""
    return any(_plain(word.partition("=")[0]) == flag for word in arguments)


def _plain(name: str) -> str:
    """A flag as it is printed in the help: an underscore may be given in place of a hyphen."""
    return name.replace("_", "-")


def know_game(text: str) -> str:
    """The name of the game that `--game` asks for. A game from a file becomes known by it."""
    known = f"one of {', '.join(names.GAMES)}, or {files.FORM}"
    require(bool(text) and not text.startswith("--"), f"game: needs a value, {known}")
    if files.names_a_file(text):
        name, game = files.load(text)
        names.register(name, game)
        return name
    require(text in names.GAMES, f"game: must be {known}, got {text!r}")
    return text


def game_of(name: str, own: Game) -> Game:
    """The game of a name. `own` is the recipe's game. If `name` is the name of `own`, the game is `own` itself. Any
    other game has its default settings; a game of the same class as `own` has the rounds of `own`.
    """
    if name == names.described(own)["name"]:
        return own
    game = names.GAMES[name]
    alike = type(game) is type(own) and "rounds" in {field.name for field in dataclasses.fields(game)}
    return dataclasses.replace(game, rounds=own.rounds) if alike else game


def axis_of(text: str) -> tuple[str, list[list[str]]]:
    """From NAME=VALUE,VALUE,... the setting and its values, each as the words of its flag. Where there is a semicolon,
    semicolons part the values in place of commas. The name may begin with that of the setting's group.
    """
    name, equals, rest = text.partition("=")
    values = [shlex.split(value) for value in rest.split(";" if ";" in rest else ",")]
    whole = bool(name.strip() and equals) and all(values)
    require(whole, f"grid: must be NAME=VALUE,VALUE,... such as learning_rate=1e-3,3e-3; got {text!r}")
    return name.strip().replace("-", "_"), values


def words_of_swept(name: str, value: list[str], settings: Any) -> list[str]:
    """The words of the command line that give the setting `name` a value."""
    flag = name.replace("_", "-")
    if not isinstance(flat(settings).get(name), bool):
        return [f"--{flag}", *value]
    require(value in (["true"], ["false"]), f"grid: {name}: must be true or false, got {' '.join(value)}")
    return _flag_of(flag, value == ["true"], nested=False)


def flags_of(settings: Any, game: str, *, base: type, presets: Mapping[str, str]) -> type:
    """A dataclass for tyro: the fields of `base`, and those of all groups of the settings and of their game, whose name
    is `game`. `presets`: what is said of each.
    """
    base = with_help(base)
    of_base = documentation(base)
    metavar = f"{{{','.join(names.GAMES)},FILE.py:CLASS}}"
    chosen = tyro.conf.arg(metavar=metavar, help=of_base[GAME])
    told = ", ".join(f'"{name}" {said}'.strip() for name, said in presets.items())
    preset = tyro.conf.arg(help=f"{of_base['preset']}: {told}.")
    own = _with_values(settings.game, needed=NEEDED.get(game))
    shown = tyro.conf.arg(name="game", help=f"Settings of --game {game}")
    fields = [("preset", Annotated[Literal[tuple(presets)], preset], "quick"), (GAME, Annotated[str, chosen])]
    fields.append((OWN, Annotated[own, shown], own()))
    for name, group in groups_of(settings).items():
        title, _, about = " ".join((type(group).__doc__ or name).split()).partition(":")
        shown = tyro.conf.arg(name=title.lower(), help=about.strip())
        kind = _with_values(group)
        fields.append((_group_field(name), Annotated[tyro.conf.OmitArgPrefixes[kind], shown], kind()))
    name = f"{type(settings).__name__}Flags"
    return dataclasses.make_dataclass(name, fields, bases=(base,), frozen=True, kw_only=True)


def with_help(command: type[T]) -> type[T]:
    """A dataclass like `command`, each of whose flags has its docstring on one line as its help. The parser itself
    would keep the breaks between the docstring's lines, whatever the width of the terminal.
    """

    def default(field: dataclasses.Field) -> Any:
        return dataclasses.field() if field.default is dataclasses.MISSING else field.default

    fields = _flags(command, default)
    return dataclasses.make_dataclass(command.__name__, fields, bases=(command,), frozen=True, kw_only=True)


def settings_from(flags: Any, settings: T) -> T:
    """The settings with the values of parsed flags, which were made by `flags_of` from them."""
    groups = {
        name: dataclasses.replace(group, **vars(getattr(flags, _group_field(name))))
        for name, group in groups_of(settings).items()
    }
    try:
        game = dataclasses.replace(settings.game, **vars(getattr(flags, OWN)))
    except CoplayerError as error:
        raise CoplayerError(f"{GAME}.{error}") from error
    return dataclasses.replace(settings, game=game, **groups)


def words_of(settings: Any, start: Any) -> list[str]:
    """The flags that make `settings` of the settings `start` of a recipe, as words of the command line. Folders of
    other runs are as the settings name them.
    """
    game, words = names.described(settings.game)["name"], []
    if game != names.described(start.game)["name"]:
        words += ["--game", game]
    own = game_of(game, start.game)
    pairs = [(f"{GAME}.{field.name}", field, own, settings.game) for field in dataclasses.fields(own) if field.init]
    for name, group in groups_of(settings).items():
        pairs += [(field.name, field, getattr(start, name), group) for field in dataclasses.fields(group)]
    for name, field, before, after in pairs:
        value = getattr(after, field.name)
        if value != getattr(before, field.name) or (words and field.name == NEEDED.get(game)):
            words += _flag_of(name.replace("_", "-"), value, "nested" in field.metadata)
    return words


def _flag_of(name: str, value: Any, nested: bool) -> list[str]:
    """A flag with its value."""
    if isinstance(value, bool):
        before, dot, own = name.rpartition(".")
        return [f"--{before}{dot}{own if value else f'no-{own}'}"]
    if nested and any(isinstance(item, tuple) for item in value):
        return [f"--{name}", json.dumps(value)]
    return [f"--{name}", *map(str, value if isinstance(value, tuple) else [value])]


def _group_field(name: str) -> str:
    return f"{name}_group"


def _with_values(group: Any, needed: str | None = None) -> type:
    """A dataclass like a group's, with its values as defaults, and with what the help says of each field. The setting
    `needed` has no default.
    """

    def default(field: dataclasses.Field) -> Any:
        return tyro.MISSING if field.name == needed else getattr(group, field.name)

    return dataclasses.make_dataclass(type(group).__name__, _flags(type(group), default), frozen=True)


def _flags(kind: type, default: Callable[[dataclasses.Field], Any]) -> list[tuple[str, Any, Any]]:
    """The fields of a dataclass as flags: name, type with what the help says, and default."""
    kinds, texts = typing.get_type_hints(kind, include_extras=True), documentation(kind)
    return [
        (
            field.name,
            Annotated[_kind(field, kinds[field.name]), tyro.conf.arg(help=texts.get(field.name, ""))],
            default(field),
        )
        for field in dataclasses.fields(kind)
        if field.init
    ]


def _kind(field: dataclasses.Field, annotated: Any) -> Any:
    """The type of a flag: where a setting is one of several words, these; where it may be nested, also as JSON."""
    if "nested" in field.metadata:
        return Annotated[annotated, NESTED]
    words = tuple(field.metadata.get("among", ()))
    if not words:
        return annotated
    return tuple[Literal[words], ...] if typing.get_origin(annotated) is tuple else Literal[words]


def _nested(words: list[str]) -> Any:
    """Numbers from the words of a flag: one number each, or one word of JSON with nested lists."""
    try:
        if len(words) == 1 and words[0].lstrip().startswith("["):
            return names.as_tuples(json.loads(words[0]))
        return tuple(map(float, words))
    except ValueError as error:
        raise ValueError(
            f"must be numbers, or nested lists such as [[1, -1], [2, 0]], got {' '.join(words)}"
        ) from error


NESTED = tyro.constructors.PrimitiveConstructorSpec(
    nargs="*",
    metavar="FLOAT [FLOAT ...]|[[...],[...]]",
    instance_from_str=_nested,
    is_instance=lambda value: isinstance(value, tuple),
    str_from_instance=lambda value: [f"{number:g}" for number in value],
)


@functools.cache
def documentation(cls: type) -> dict[str, str]:
    """The docstring under each field of a dataclass, on one line."""
    texts = {}
    for base in reversed(cls.__mro__):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0].body
        except (OSError, TypeError, SyntaxError):  # not written in a file
            continue
        for field, text in pairwise(body):
            documented = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and documented and isinstance(text.value.value, str):
                texts[field.target.id] = " ".join(text.value.value.split())
    return texts
