"""The one exception users see: a single clear line naming the setting at fault and what is allowed."""

import importlib
from numbers import Integral
from typing import Any

import jax


class CoplayerError(ValueError):
    """Bad input, or a run that cannot go on. The command line prints its message on one line and exits with 2."""


def imported(module: str, extra: str, *, setting: str = "") -> Any:
    """A module that an extra of the package brings. Raises `CoplayerError`, which says how to install the extra, where
    the module is not installed. `setting`: the setting that asks for the module, if one does.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        asked = f"{setting}: {extra}" if setting else f"{extra}:"
        raise CoplayerError(f"{asked} is not installed; pip install 'coplayer[{extra}]'") from error


def require(condition: bool, message: str) -> None:
    """Raise `CoplayerError(message)` unless `condition` holds."""
    if not condition:
        raise CoplayerError(message)


def require_whole(name: str, value: Any, *, at_least: int) -> None:
    """Raise `CoplayerError` unless the value of the setting `name` is a whole number that is large enough."""
    require(
        isinstance(value, Integral) and not isinstance(value, bool) and bool(value >= at_least),
        f"{name}: must be a whole number of at least {at_least}, got {value!r}",
    )


def require_key(key: Any) -> None:
    """Raise `CoplayerError` unless the value is one random key of the typed kind, `jax.random.key`."""
    typed = hasattr(key, "dtype") and jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    require(typed and key.shape == (), f"key: must be one random key such as jax.random.key(0), got {key!r}")


def require_kind(name: str, value: Any, kind: type) -> None:
    """Raise `CoplayerError` unless the value of `name` is of a kind."""
    require(isinstance(value, kind), f"{name}: must be a {kind.__name__}, got {value!r}")


def first_line(error: BaseException) -> str:
    """The first line of what another library's error says; "" if it says nothing."""
    return (str(error).splitlines() or [""])[0]


def in_short(error: BaseException) -> str:
    """An error of other code in a few words, such as "TypeError: unhashable type"; of ours, its own words."""
    return str(error) if isinstance(error, CoplayerError) else f"{type(error).__name__}: {first_line(error)}"
