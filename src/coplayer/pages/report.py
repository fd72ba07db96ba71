"""The page that reports on runs: one HTML file with all it needs inside."""

import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from coplayer.analysis.statistics import intervals
from coplayer.errors import require
from coplayer.pages.html import one_file
from coplayer.runs.files import write_atomically

FORMAT = 1
"""The form of the data inside a page."""
STYLES, SCRIPTS = ("play.css", "report.css"), ("draw.js", "frame.js", "report.js")
MARK = b'<meta name="generator" content="coplayer report">'  # in the template; a file that has it may be replaced
LEAST_POINTS, MOST_POINTS, MOST_NUMBERS = 50, 200, 1500  # of a curve, and of all its repetitions together
DIGITS = 4  # of a number on the page
TINY = 1e-200  # what is smaller is 0
MOST_WHOLE = 1e15  # up to which a number is written without a point


class Curve(NamedTuple):
    """What was measured, by round or over training."""

    quantity: str
    """What is measured, such as "cooperation"."""
    label: str
    """Of whom or against whom, such as "against tabular"; "" where that goes without saying."""
    x: np.ndarray
    """`[points]`, ascending."""
    values: np.ndarray
    """`[repetitions, points]`; NaN where a repetition has no value."""
    kind: str = "play"
    """Under which heading the curve can be chosen."""
    published: tuple[np.ndarray, np.ndarray] | None = None
    """(x, y) of the published points."""
    phase: int | None = None
    """Phase whose agents played, of a curve by round."""


def write_page(path: Path, runs: Sequence[Mapping[str, Any]]) -> None:
    """Write the page of these runs to `path`. Each run is as `reproduce.run_page.described` has it.

    Raises `CoplayerError` where `path` is a file that is no such page.
    """
    require(replaceable(path), f"out: {path} exists already and is no report; name another file")
    data = {"format": FORMAT, "made": f"coplayer {version('coplayer')}", "runs": list(runs)}
    write_atomically(path, one_file("report.html", STYLES, SCRIPTS, data).encode())


def replaceable(path: Path) -> bool:
    """Whether a page may be written to `path`: to a new file, or in place of an earlier page."""
    if not path.is_file():
        return not path.exists()
    with open(path, "rb") as file:
        return MARK in file.read(2000)


def thinned(curve: Curve) -> dict[str, Any]:
    """A curve as the page has it. Of a curve of many points each point shown is the mean of `every` points in a row, at
    the last of their x. `low` and `high`: 95% intervals of the mean over the repetitions.
    """
    most = int(np.clip(MOST_NUMBERS // max(1, len(curve.values)), LEAST_POINTS, MOST_POINTS))
    every = -(-len(curve.x) // most)
    starts = np.arange(0, len(curve.x), every)
    known = ~np.isnan(curve.values)
    counts = np.add.reduceat(known, starts, axis=1, dtype=int)
    sums = np.add.reduceat(np.where(known, curve.values, 0), starts, axis=1)
    values = np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
    ends = np.append(starts[1:], len(curve.x)) - 1
    low, high = np.full((2, len(starts)), np.nan)
    whole = ~np.isnan(values).any(0)
    if len(values) > 1 and whole.any():
        low[whole], high[whole] = intervals(values[:, whole])
    shown = {"quantity": curve.quantity, "label": curve.label, "kind": curve.kind, "every": every}
    shown |= {"x": numbers(curve.x[ends]), "values": [numbers(row) for row in values]}
    shown |= {"low": numbers(low), "high": numbers(high), "phase": curve.phase}
    if curve.published is not None:
        shown["published"] = [numbers(each) for each in curve.published]
    return shown


def numbers(values: np.ndarray) -> list[float | int | None]:
    """Numbers in few digits, and None for those that JSON does not have."""
    values = np.asarray(values, float)
    size = np.abs(values, where=np.isfinite(values), out=np.zeros_like(values))
    places = DIGITS - 1 - np.floor(np.log10(np.where(size > TINY, size, 1)))
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    with np.errstate(invalid="ignore"):
        rounded = np.where((size > TINY) | ~np.isfinite(values), np.round(values * up / down) / up * down, 0)
    return [_plain(value) for value in rounded.tolist()]


def _plain(value: float) -> float | int | None:
    if not math.isfinite(value):
        return None
    return int(value) if value.is_integer() and abs(value) < MOST_WHOLE else value
