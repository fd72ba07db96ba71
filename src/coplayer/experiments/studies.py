"""What it takes to reproduce a published figure: some runs, the panels, and the numbers beside the paper's."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from coplayer.figures.parity import Quantity
from coplayer.runs.folder import RunFolder


class Study(NamedTuple):
    """A published figure."""

    shows: str
    source: str
    minutes: float  # about, on two cores
    runs: Callable[[], dict[str, Any]]  # configs by the run's name
    draw: Callable[[dict[str, RunFolder], dict[str, Any], Path], list[Quantity]]  # panels to a path; the table's rows
