"""How a published figure is reproduced: its runs, its panels, and the numbers beside the paper's."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from coplayer.figures.parity import Quantity
from coplayer.runs.folder import RunFolder

SPREAD = "mean and one standard deviation over seeds"  # what bands are, where a title says it
Draw = Callable[[dict[str, RunFolder], dict[str, Any], Path], list[Quantity]]  # panels to a path; the table's rows


class Study(NamedTuple):
    """A published figure.

    `runs` gives the settings of a preset by the run's name. A run that figures share has one name. In `frozen` and
    `start` settings may name an earlier run of the same study instead of a folder. `draw` gets the finished runs that
    were asked for, and their settings.
    """

    shows: str
    source: str
    minutes: Mapping[str, float | None]  # by preset, about, on two cores; None: not measured, needs a GPU
    runs: Callable[[str], dict[str, Any]]
    draw: Draw
    parts: tuple[str, ...] = ()  # beginnings of the names of runs that can be made without the others
    require_extra: Callable[[], Any] = lambda: None  # refuses, before any training, where drawing needs what is missing
