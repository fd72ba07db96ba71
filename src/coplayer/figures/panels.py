"""Pairs of panels, reward and cooperation rate, with a band of one standard deviation over seeds: the papers' form."""

import csv
import io
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure, SubFigure

from coplayer.runs.files import write_atomically

THOUSANDS_FROM = 10_000  # an axis that goes so far is labelled in thousands
FAR_LONGER = 10  # published points of a training more than so many times as long as ours have an axis of their own
LABELS = {"reward": "mean reward per round", "cooperation": "cooperation rate"}


class Line(NamedTuple):
    """One curve with its repetitions, and the published one beside it."""

    label: str
    x: np.ndarray  # [points]
    reward: np.ndarray  # [seeds, points]
    cooperation: np.ndarray  # [seeds, points]
    published: dict[str, tuple[np.ndarray, np.ndarray]] | None = None  # of "reward" or "cooperation"


class Pair(NamedTuple):
    """The two panels of some curves, reward and cooperation rate."""

    title: str
    x_label: str
    lines: list[Line]


def draw(path: Path, rows: list[list[Pair]], title: str) -> None:
    """Write rows of pairs of panels to `path` with the endings .png and .svg; rows may differ in length."""
    columns = max(map(len, rows))
    figure = plt.figure(figsize=(10 * columns, 3.8 * len(rows)), layout="constrained")
    places = figure.subfigures(len(rows), columns, squeeze=False)
    for row, pairs in zip(places, rows, strict=True):
        for place, pair in zip(row, pairs, strict=False):
            _draw_pair(place, pair)
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def _draw_pair(figure: SubFigure, pair: Pair) -> None:
    """The two panels in their part of a figure, with a legend for both below."""
    axes = figure.subplots(1, 2)
    for axis, (metric, label) in zip(axes, LABELS.items(), strict=True):
        for index, line in enumerate(pair.lines):
            color = f"C{index}"
            values = getattr(line, metric)
            mean, deviation = values.mean(0), values.std(0)
            axis.plot(line.x, mean, color=color, label=line.label, linewidth=1.8)
            if len(values) > 1:
                axis.fill_between(line.x, mean - deviation, mean + deviation, color=color, alpha=0.2, linewidth=0)
        tidy(axis)
        axis.set_ylabel(label)
        _draw_published(axis, pair, metric)
        _name_x(axis, pair.x_label)
    axes[1].set_ylim(-0.03, 1.03)
    handles, labels = axes[0].get_legend_handles_labels()
    if any(line.published for line in pair.lines):
        handles.append(plt.Line2D([], [], marker="o", linestyle="", color="gray", fillstyle="none", markersize=3.5))
        labels.append("published (Weis et al. 2026)")
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    if pair.title:
        figure.suptitle(pair.title, fontsize=9)


def _draw_published(axis: plt.Axes, pair: Pair, metric: str) -> None:
    """The published points of a panel: along its own axis; or, where they go on for far longer than our curves, along
    one above it on which their training is as long as ours is below.
    """
    points = {f"C{i}": line.published[metric] for i, line in enumerate(pair.lines) if metric in (line.published or {})}
    ours = max((line.x[-1] for line in pair.lines if len(line.x)), default=0)
    theirs = max((x[-1] for x, _ in points.values()), default=0)
    if theirs > FAR_LONGER * ours > 0:
        left, right = axis.get_xlim()
        axis = axis.twiny()
        axis.set_xlim(left * theirs / ours, right * theirs / ours)
        _name_x(axis, f"{pair.x_label}, published")
        axis.spines["right"].set_visible(False)
    for color, (x, values) in points.items():
        axis.plot(x, values, "o", color=color, markersize=3.5, fillstyle="none")


def _name_x(axis: plt.Axes, label: str) -> None:
    """What an axis counts, in thousands where it goes far."""
    axis.set_xlabel(label)
    if axis.get_xlim()[1] >= THOUSANDS_FROM:
        axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k")


MOST_INSIDE = 3  # curves whose names find room among them
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24), "ncols": 2, "columnspacing": 1.0, "handlelength": 1.3}


class Band(NamedTuple):
    """One curve with its repetitions."""

    label: str
    x: np.ndarray  # [points]
    values: np.ndarray  # [seeds, points]


class BandPanel(NamedTuple):
    """One panel of curves, its middle and spread over seeds told by `spread`."""

    title: str
    x_label: str
    y_label: str
    bands: list[Band]
    spread: str = "quartiles"  # around the median; or around the mean, "error" (standard) or "deviation"

    @property
    def crowded(self) -> bool:
        """Whether the curves' names are below the panel, not among the curves."""
        return len(self.bands) > MOST_INSIDE


def draw_bands(axis: plt.Axes, panel: BandPanel) -> None:
    """Draw one panel of curves."""
    for index, band in enumerate(panel.bands):
        if panel.spread == "quartiles":
            low, middle, high = np.percentile(band.values, [25, 50, 75], axis=0)
        else:
            middle = band.values.mean(0)
            half = band.values.std(0)
            if panel.spread == "error":
                half = half / np.sqrt(max(1, len(band.values) - 1))
            low, high = middle - half, middle + half
        axis.plot(band.x, middle, color=f"C{index}", label=band.label, linewidth=1.8)
        axis.fill_between(band.x, low, high, color=f"C{index}", alpha=0.2, linewidth=0)
    axis.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    axis.title.set_fontsize(9)
    tidy(axis)
    axis.legend(frameon=False, fontsize=7.5, **(BELOW if panel.crowded else {}))


def row_of(panels: list[BandPanel], *, more: int = 0) -> tuple[Figure, np.ndarray]:
    """A figure with these panels drawn in one row, and `more` empty ones after them; and the axes of all."""
    columns = len(panels) + more
    size = 4.2 * columns, 4.2 if any(panel.crowded for panel in panels) else 3.4
    figure, axes = plt.subplots(1, columns, figsize=size, layout="constrained", squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=False):
        draw_bands(axis, panel)
    return figure, axes[0]


def draw_row(path: Path, panels: list[BandPanel], title: str, *, log: bool = False) -> None:
    """One row of panels, and their numbers as `path` with the ending .csv; `log`: with logarithmic axes, where there is
    anything to be drawn on them.
    """
    figure, axes = row_of(panels)
    for axis, panel in zip(axes, panels, strict=True):
        if log and any((band.values > 0).any() for band in panel.bands):
            axis.set(xscale="log", yscale="log")
    figure.suptitle(title, fontsize=10)
    save(figure, path)
    write_atomically(path.with_suffix(".csv"), numbers(panels).encode())


def numbers(panels: list[BandPanel]) -> str:
    """All points of some panels as CSV: panel, what it measures, curve, x, and a column for each repetition."""
    text = io.StringIO()
    write = csv.writer(text, lineterminator="\n").writerow
    most = max((len(band.values) for panel in panels for band in panel.bands), default=0)
    write(["panel", "y", "curve", "x", *(f"repetition {i + 1}" for i in range(most))])
    for panel in panels:
        for band in panel.bands:
            for x, values in zip(band.x, band.values.T, strict=True):
                write([panel.title, panel.y_label, band.label, f"{x:g}", *(f"{value:.6g}" for value in values)])
    return text.getvalue()


def tidy(axis: plt.Axes) -> None:
    """The grid and the open frame that all panels share."""
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)


def save(figure: plt.Figure, path: Path) -> None:
    """Write a figure as PNG and SVG, and close it."""
    for ending in ("png", "svg"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending, dpi=150)
        write_atomically(path.with_suffix(f".{ending}"), buffer.getvalue())
    plt.close(figure)
