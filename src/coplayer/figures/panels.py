"""Curves over training or over rounds, with bands: reward and what else is measured side by side, as in the papers."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure, SubFigure
from PIL import Image

from coplayer.runs.files import write_atomically

THOUSANDS_FROM = 10_000  # an axis that goes so far is labelled in thousands
FAR_LONGER = 10  # published points of a training more than so many times as long as ours have an axis of their own
DPI = 150  # of figures written as PNG
ALMOST_WHITE = 252  # the paper, whose colour is averaged with its shades
MOST_PANELS = 4  # side by side for one set of curves
LABELS = {"reward": "mean reward per round", "cooperation": "cooperation rate"}


class Line(NamedTuple):
    """One curve with its repetitions, in each of several metrics, and the published one beside it."""

    label: str
    x: np.ndarray  # [points]
    values: Mapping[str, np.ndarray]  # by metric, such as "reward" and "cooperation": [seeds, points]
    published: dict[str, tuple[np.ndarray, np.ndarray]] | None = None  # (x, y) by metric


class Panels(NamedTuple):
    """The panels of some curves, one for each metric; in the papers reward and cooperation rate."""

    title: str
    x_label: str
    lines: list[Line]

    @property
    def metrics(self) -> list[str]:
        """What the panels show, in their order."""
        return list(dict.fromkeys(name for line in self.lines for name in line.values))[:MOST_PANELS]


def draw(path: Path, rows: list[list[Panels]], title: str) -> None:
    """Write rows of panels to `path` with the endings .png and .svg. Rows may differ in length."""
    columns = max(map(len, rows))
    side_by_side = max(len(panels.metrics) for row in rows for panels in row)
    figure = plt.figure(figsize=(5 * side_by_side * columns, 3.8 * len(rows)), layout="constrained")
    places = figure.subfigures(len(rows), columns, squeeze=False)
    for row, groups in zip(places, rows, strict=True):
        for place, panels in zip(row, groups, strict=False):
            _draw_panels(place, panels)
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def _draw_panels(figure: SubFigure, panels: Panels) -> None:
    """The panels of some curves in their part of a figure, with a legend for all below."""
    axes = figure.subplots(1, len(panels.metrics), squeeze=False)[0]
    for axis, metric in zip(axes, panels.metrics, strict=True):
        drawn = [(index, line, line.values[metric]) for index, line in enumerate(panels.lines) if metric in line.values]
        for index, line, values in drawn:
            color = f"C{index}"
            mean, half = values.mean(0), deviation(values)
            axis.plot(line.x, mean, color=color, label=line.label, linewidth=1.8)
            if len(values) > 1:
                axis.fill_between(line.x, mean - half, mean + half, color=color, alpha=0.2, linewidth=0)
        tidy(axis)
        axis.set_ylabel(LABELS.get(metric, metric.replace("_", " ")))
        _draw_published(axis, panels, metric)
        _name_x(axis, panels.x_label)
        if metric != "reward" and all((values >= 0).all() and (values <= 1).all() for *_, values in drawn):
            axis.set_ylim(-0.03, 1.03)  # rates
    handles, labels = axes[0].get_legend_handles_labels()
    if any(line.published for line in panels.lines):
        handles.append(plt.Line2D([], [], marker="o", linestyle="", color="gray", fillstyle="none", markersize=3.5))
        labels.append("published (Weis et al. 2026)")
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=8.5)
    if panels.title:
        figure.suptitle(panels.title, fontsize=9)


def _draw_published(axis: plt.Axes, panels: Panels, metric: str) -> None:
    """The published points of a panel, along the panel's own axis. Published trainings that are far longer than ours
    have an axis above the panel, on which they are as long as ours is below.
    """
    points = {
        f"C{i}": line.published[metric] for i, line in enumerate(panels.lines) if metric in (line.published or {})
    }
    ours = max((line.x[-1] for line in panels.lines if len(line.x)), default=0)
    theirs = max((x[-1] for x, _ in points.values()), default=0)
    if theirs > FAR_LONGER * ours > 0:
        left, right = axis.get_xlim()
        axis = axis.twiny()
        axis.set_xlim(left * theirs / ours, right * theirs / ours)
        _name_x(axis, f"{panels.x_label}, published")
        axis.spines["right"].set_visible(False)
    for color, (x, values) in points.items():
        axis.plot(x, values, "o", color=color, markersize=3.5, fillstyle="none")


def _name_x(axis: plt.Axes, label: str) -> None:
    """Label an axis with what it counts, in thousands where it goes far."""
    axis.set_xlabel(label)
    if axis.get_xlim()[1] >= THOUSANDS_FROM:
        axis.xaxis.set_major_formatter(lambda x, _: f"{x / 1000:g}k")


MOST_INSIDE = 3  # curves whose names find room inside the panel
BELOW = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.24), "ncols": 2, "columnspacing": 1.0, "handlelength": 1.3}


class Band(NamedTuple):
    """One curve with its repetitions."""

    label: str
    x: np.ndarray  # [points]
    values: np.ndarray  # [seeds, points]


class BandPanel(NamedTuple):
    """One panel of curves. `spread` says what is drawn of the seeds."""

    title: str
    x_label: str
    y_label: str
    bands: list[Band]
    spread: str = "quartiles"  # around the median; or around the mean, "error" (standard) or "deviation"

    @property
    def crowded(self) -> bool:
        """Whether the curves' names are below the panel, not among the curves."""
        return len(self.bands) > MOST_INSIDE


def deviation(values: np.ndarray) -> np.ndarray:
    """The sample standard deviation over repetitions, `[repetition, point]`, at each point; 0 of a single one."""
    return values.std(0, ddof=1) if len(values) > 1 else np.zeros(values.shape[1])


def draw_bands(axis: plt.Axes, panel: BandPanel, *, legend: bool = True) -> None:
    """Draw one panel of curves."""
    for index, band in enumerate(panel.bands):
        if panel.spread == "quartiles":
            low, middle, high = np.percentile(band.values, [25, 50, 75], axis=0)
        else:
            middle, half = band.values.mean(0), deviation(band.values)
            if panel.spread == "error":
                half = half / np.sqrt(len(band.values))
            low, high = middle - half, middle + half
        axis.plot(band.x, middle, color=f"C{index}", label=band.label, linewidth=1.8)
        axis.fill_between(band.x, low, high, color=f"C{index}", alpha=0.2, linewidth=0)
    axis.set(title=panel.title, xlabel=panel.x_label, ylabel=panel.y_label)
    axis.title.set_fontsize(9)
    tidy(axis)
    if legend:
        axis.legend(frameon=False, fontsize=7.5, **(BELOW if panel.crowded else {}))


def row_of(panels: list[BandPanel], *, more: int = 0) -> tuple[Figure, np.ndarray]:
    """A figure with these panels in one row and `more` empty ones after them, and the axes of all."""
    columns = len(panels) + more
    size = 4.2 * columns, 4.2 if any(panel.crowded for panel in panels) else 3.4
    figure, axes = plt.subplots(1, columns, figsize=size, layout="constrained", squeeze=False)
    for axis, panel in zip(axes[0], panels, strict=False):
        draw_bands(axis, panel)
    return figure, axes[0]


def draw_row(path: Path, panels: list[BandPanel], title: str, *, log: bool = False) -> None:
    """Write one row of panels to `path`, and their numbers to `path` with the ending .csv. `log`: the
    values on a logarithmic axis, where one is above 0.
    """
    figure, axes = row_of(panels)
    for axis, panel in zip(axes, panels, strict=True):
        if log and any((band.values > 0).any() for band in panel.bands):
            axis.set_yscale("log")
    figure.suptitle(title, fontsize=10)
    save(figure, path)
    write_atomically(path.with_suffix(".csv"), numbers(panels).encode())


def draw_rows(path: Path, rows: list[list[BandPanel]], title: str) -> None:
    """Write rows of panels that all show the same curves, with one legend for them, and their numbers as `draw_row`."""
    columns = max(map(len, rows))
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(3.6 * columns, 2.8 * len(rows) + 0.6), layout="constrained", squeeze=False
    )
    for places, panels in zip(axes, rows, strict=True):
        for axis, panel in zip(places, panels, strict=False):
            draw_bands(axis, panel, legend=False)
        for axis in places[len(panels) :]:
            axis.set_axis_off()
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=10)
    save(figure, path)
    write_atomically(path.with_suffix(".csv"), numbers([panel for panels in rows for panel in panels]).encode())


def numbers(panels: list[BandPanel]) -> str:
    """All points of some panels as CSV. The columns: panel, quantity, curve, x, and each repetition's value."""
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
    """Write a figure as PNG and SVG, and close it. The second has the places of the first: finding them takes long."""
    for ending in ("png", "svg"):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=ending, dpi=DPI)
        figure.set_layout_engine("none")
        data = small_png(buffer.getvalue()) if ending == "png" else buffer.getvalue()
        write_atomically(path.with_suffix(f".{ending}"), data)
    plt.close(figure)


def small_png(data: bytes) -> bytes:
    """A picture with 256 colours: plots look the same and take about a quarter of the bytes."""
    small = io.BytesIO()
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    picture = picture.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    picture.putpalette([255 if value >= ALMOST_WHITE else value for value in picture.getpalette()])
    picture.save(small, "PNG", optimize=True)
    return min(data, small.getvalue(), key=len)
