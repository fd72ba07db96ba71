"""Progress of a run: a live panel with a curve on a terminal, elsewhere one line per phase."""

import time

import numpy as np
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from coplayer.runs.training import Chunk

CURVES = tuple(
    f"{measure}_vs_{whom}"
    for measure in ("cooperation", "reward")
    for whom in ("learner", "frozen", "naive", "tabular")
)
"""Metrics that the curve may show; the first of them that has been measured so far."""
COLUMNS, LINES = 60, 6  # of the curve
EIGHTHS = " ▁▂▃▄▅▆▇█"


def curve(values: list[float], low: float, high: float) -> str:
    """A curve as `LINES` lines of text, at most `COLUMNS` wide. Each bar stands for one value, or for the mean of
    several values in a row. A bar has full height for `high` and none for `low`. The fewer the bars, the wider.
    """
    parts = np.array_split(np.array(values, float), min(COLUMNS, len(values)))
    share = np.nan_to_num((np.array([part.mean() for part in parts]) - low) / max(high - low, 1e-9))
    eighths = np.clip(np.round(share * LINES * 8), 0, LINES * 8).astype(int)
    rows = [np.clip(eighths - 8 * line, 0, 8) for line in reversed(range(LINES))]
    return "\n".join("".join(EIGHTHS[level] * (COLUMNS // len(row)) for level in row) for row in rows)


class Display:
    """A `Reporter`; use as a context manager. Shows the newest value of every metric of the phase, averaged over
    seeds; before the phase has one, that of the phase before. On a terminal, one metric is a curve too (see `CURVES`).
    """

    def __init__(self, console: Console, title: str):
        self._console = console
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
        )
        self._task = self._bar.add_task(title, total=1.0, left="")
        self._values: dict[str, dict[int, list[float]]] = {}
        self._of_phase: set[str] = set()  # names of what the phase has a value of
        self._rates: dict[str, float] = {}
        self._curved: str | None = None  # the metric that is a curve
        self._curve: list[float] = []
        self._begin: tuple[float, float] | None = None  # (time, share done) since when the time left is judged
        self._view = Live(self._bar, console=console, refresh_per_second=2) if console.is_terminal else None

    def __enter__(self):
        if self._view:
            self._view.start()
        return self

    def __exit__(self, *exception):
        if self._view:
            self._view.stop()

    def resumed(self, chunk: int) -> None:
        self._console.print(f"resumed after chunk {chunk}")

    def advanced(self, chunk: Chunk, progress: float) -> None:
        fresh: dict[str, dict[int, list[float]]] = {}
        for row in chunk.rows:
            for name, value in row.items():
                if name not in ("phase", "update", "iteration", "seed", "learner"):
                    fresh.setdefault(name, {}).setdefault(row["learner"], []).append(value)
        self._values.update(fresh)
        self._of_phase.update(fresh)
        if chunk.agents is not None:  # the phase is done; what it had no value of is no longer measured
            self._values = {name: values for name, values in self._values.items() if name in self._of_phase}
            self._of_phase = set()
        self._add_to_curve(fresh)
        self._rates.update({name: value for name, value in chunk.timing.items() if name.endswith("_per_second")})
        left = self._time_left(progress)
        self._bar.update(self._task, completed=progress, left=left, description=f"phase {chunk.phase}")
        if self._view:
            self._view.update(Group(self._bar, *self._picture(), self._table()))
        elif chunk.agents is not None:
            self._console.print(f"phase {chunk.phase}: {self._line()}{', ' + left if left else ''}", soft_wrap=True)

    def _add_to_curve(self, fresh: dict[str, dict[int, list[float]]]) -> None:
        first = next((name for name in CURVES if name in fresh or name == self._curved), None)
        if first != self._curved:  # a metric that counts more, as when the learners meet
            self._curved, self._curve = first, []
        if self._curved in fresh:
            self._curve.append(float(np.mean(list(fresh[self._curved].values()))))

    def _picture(self) -> list[Panel]:
        """The curve in a box, from the first value of this process to the newest."""
        if len(self._curve) < 2:
            return []
        rate = self._curved.startswith("cooperation")
        low, high = (0.0, 1.0) if rate else (min(self._curve), max(self._curve))
        title = f"{self._curved.replace('_', ' ')}, {low:.2f} to {high:.2f}; now {self._curve[-1]:.2f}"
        return [Panel(Text(curve(self._curve, low, high)), title=title, title_align="left", expand=False)]

    def _time_left(self, progress: float) -> str:
        now = time.monotonic()
        if self._begin is None:  # the first chunk holds the compilation
            self._begin = (now, progress)
            return ""
        start, done = self._begin
        if progress <= done:
            return ""
        seconds = (now - start) * (1 - progress) / (progress - done)
        return f"{seconds / 60:.1f} min left"

    def _means(self, name: str) -> list[float]:
        return [float(np.mean(values)) for _, values in sorted(self._values[name].items())]

    def _table(self) -> Table:
        learners = max((len(values) for values in self._values.values()), default=0)
        table = Table(box=None, pad_edge=False)
        table.add_column("")
        for learner in range(learners):
            table.add_column(f"learner {learner}", justify="right")
        for name in self._values:
            table.add_row(name.replace("_", " "), *(f"{value:.3f}" for value in self._means(name)))
        for name, value in self._rates.items():
            table.add_row(name.replace("_", " "), f"{value:,.0f}")
        return table

    def _line(self) -> str:
        shown = [f"{name} {' / '.join(f'{v:.3f}' for v in self._means(name))}" for name in self._values]
        return ", ".join(shown).replace("_", " ")
