"""Settings of an experiment under a name of their own: a command of `coplayer train`."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Recipe(NamedTuple):
    """What one command trains."""

    shows: str  # one line for its help
    source: str
    presets: Mapping[str, Any]  # configs by "quick" and "paper"
