"""Points read off the papers' figures, to be drawn beside our curves. The reading error is about 0.02 in y."""

import csv
import functools
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from coplayer.errors import require


class Bound(NamedTuple):
    """The bounds that a value of each seed is to keep."""

    at_least: float | None = None
    at_most: float | None = None


class Panel(NamedTuple):
    """How an experiment's training curves are drawn, and beside which panel of Weis et al. 2026."""

    name: str  # of the published panel, such as "1A"
    label: str  # the learners' kind, for the legend
    x: str  # "phase" or "iteration": the metrics' column, and the axis
    curves: Mapping[str, str] = MappingProxyType({})  # published ones by side ("vs_learner", "of_frozen", ...)
    bounds: Mapping[str, Bound] = MappingProxyType({})  # by the table's quantity, such as "cooperation_vs_learner"


@functools.cache
def _rows() -> list[dict[str, str]]:
    text = resources.files("coplayer.figures").joinpath("data/weis2026_curves.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _points(panel: str, metric: str, name: str) -> list[tuple[float, float]]:
    """The points of one curve, in the file's order; none if it is not published."""
    return [
        (float(row["x"]), float(row["y"]))
        for row in _rows()
        if (row["panel"], row["metric"], row["curve"]) == (panel, metric, name)
    ]


def has_curve(panel: str, metric: str, name: str) -> bool:
    """Whether there are published points of a curve."""
    return bool(_points(panel, metric, name))


def curve(panel: str, metric: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of one curve of Weis et al. 2026, for example ("1A", "cooperation_rate", "ppi_vs_ppi")."""
    points = _points(panel, metric, name)
    require(bool(points), f"curve: no published points for panel {panel}, {metric}, {name}")
    x, y = np.array(sorted(points)).T
    return x, y
