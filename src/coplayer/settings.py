"""Settings in groups: frozen dataclasses inside frozen dataclasses, each setting described once.

An experiment's settings are one frozen dataclass. Its fields are the game and *groups* (network, optimiser, ...), which
are frozen dataclasses themselves. Within an experiment a setting's name is unique, whatever its group. So a setting can
be named alone: `adjust(settings, hidden=16)`.
"""

import dataclasses
import math
from collections.abc import Collection, Iterator
from typing import Any, TypeVar

from coplayer.errors import CoplayerError, require, require_kind

T = TypeVar("T")
GAME = "game"  # the one field of an experiment's settings that is not a group


def setting(
    default: Any = dataclasses.MISSING,
    *,
    at_least: int | float | None = None,
    at_most: int | float | None = None,
    below: int | float | None = None,
    among: Collection[str] | None = None,
    nested: bool = False,
) -> Any:
    """A field of a group, with its default and its limits (see `check_limits`).

    A number must be finite, and above 0 unless `at_least` gives another lower limit. `at_most` and `below` are upper
    limits, the second without the limit itself. `among`: the texts that are allowed, for a text or a tuple of texts. If
    `among` is a registry, such as a dict, texts that are registered later are allowed too. `nested`: the numbers of a
    tuple may also be given as nested lists, on the command line as JSON.
    """
    limits = {"at_least": at_least, "at_most": at_most, "below": below, "among": among, "nested": nested or None}
    return dataclasses.field(default=default, metadata={k: v for k, v in limits.items() if v is not None})


def groups_of(settings: Any) -> dict[str, Any]:
    """The groups of an experiment's settings, by the names of their fields."""
    return {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings) if field.name != GAME}


def each(settings: Any) -> Iterator[tuple[str, dataclasses.Field, Any]]:
    """Every single setting as (name of its group, its field, its value). The game is not among them."""
    for name, group in groups_of(settings).items():
        for field in dataclasses.fields(group):
            yield name, field, getattr(group, field.name)


def flat(settings: Any) -> dict[str, Any]:
    """All settings by their own names, and the game as "game"."""
    return {GAME: settings.game} | {field.name: value for _, field, value in each(settings)}


def adjust(settings: T, **changes: Any) -> T:
    """The settings with some of them changed. A change names a single setting, whatever its group, or a whole group.

    For example `adjust(PRESETS["quick"], hidden=16, phases=4, game=prisoners_dilemma(30))`. Raises `CoplayerError` for
    a name that is neither a setting nor a group, and for a group of another kind.
    """
    is_settings = dataclasses.is_dataclass(settings) and not isinstance(settings, type) and hasattr(settings, GAME)
    require(is_settings, f"settings: must be the settings of an experiment, got {settings!r}")
    homes = {field.name: group for group, field, _ in each(settings)}
    whole = {name: value for name, value in changes.items() if name == GAME or name in groups_of(settings)}
    by_group: dict[str, dict[str, Any]] = {}
    for name in changes.keys() - whole.keys():
        require(name in homes, f"{name}: is not a setting of {type(settings).__name__}; these are {', '.join(homes)}")
        by_group.setdefault(homes[name], {})[name] = changes[name]
    for name in whole.keys() - {GAME}:
        require_kind(name, whole[name], type(getattr(settings, name)))
    new = {group: dataclasses.replace(getattr(settings, group), **values) for group, values in by_group.items()}
    return dataclasses.replace(settings, **whole, **new)


def check_limits(settings: Any) -> None:
    """Refuse a setting outside its limits, by a `CoplayerError` of one line: its name, and what is allowed."""
    for group in groups_of(settings).values():
        check_group(group)


def check_group(group: Any) -> None:
    """`check_limits` of one group."""
    for field in dataclasses.fields(group):
        value = getattr(group, field.name)
        among = field.metadata.get("among")
        if among is not None:
            several = isinstance(value, tuple)
            words = value if several else (value,)
            given = (", ".join(map(str, words)) or "none") if several else repr(value)
            allowed = f"must be {'of' if several else 'one of'} {', '.join(map(str, among))}, got {given}"
            require(bool(words) and set(words) <= set(among), f"{field.name}: {allowed}")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            _check_number(field.name, value, field.metadata)


def _check_number(name: str, value: int | float, limits: Any) -> None:
    least = limits.get("at_least")
    allowed = f"a finite number {'above 0' if least is None else f'of at least {least:g}'}"
    holds = math.isfinite(value) and (value > 0 if least is None else value >= least)
    if "at_most" in limits:
        allowed, holds = f"{allowed} and at most {limits['at_most']:g}", holds and value <= limits["at_most"]
    if "below" in limits:
        allowed, holds = f"{allowed} and below {limits['below']:g}", holds and value < limits["below"]
    if not holds:
        raise CoplayerError(f"{name}: must be {allowed}, got {value}")
