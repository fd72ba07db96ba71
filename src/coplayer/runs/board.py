"""The jobs of a sweep as its user sees them: a live table on a terminal, elsewhere one line per change."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

ERROR_WIDTH = 40  # of the table's last column, in characters
ORDER = ("running", "failed", "stopped", "waiting", "done")
"""The states of a job, in the order in which the table has them: what does not fit the terminal is cut off below."""


@dataclass
class Line:
    """How a job stands."""

    name: str
    state: str = "waiting"
    progress: float = 0.0  # share of the work done
    seconds: float = 0.0  # of its newest process
    host: str = ""
    restarts: int = 0
    error: str = ""

    def take(self, news: dict[str, Any]) -> None:
        """Take over what is new of the job."""
        for name in news.keys() & {"state", "progress", "seconds", "host", "error"}:
            setattr(self, name, news[name])


@runtime_checkable
class Board(Protocol):
    """Shows the jobs of a sweep. Used as a context manager."""

    def __enter__(self) -> "Board": ...

    def __exit__(self, *exception: Any) -> None: ...

    def show(self, lines: Iterable[Line]) -> None:
        """How all jobs stand now."""

    def say(self, text: str) -> None:
        """Something on one line."""


class Silent:
    """A `Board` that shows nothing."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def show(self, lines: Iterable[Line]) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class LiveBoard:
    """A `Board` on a console."""

    def __init__(self, console: Console):
        self._console = console
        self._seen: dict[str, str] = {}  # states, by job
        self._view = Live(console=console, refresh_per_second=2) if console.is_terminal else None

    def __enter__(self) -> "LiveBoard":
        if self._view:
            self._view.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        if self._view:
            self._view.stop()

    def say(self, text: str) -> None:
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def show(self, lines: Iterable[Line]) -> None:
        lines = list(lines)
        if self._view:
            self._view.update(Group(_summary(lines), _table(lines)))
            return
        for line in lines:
            if line.state != self._seen.get(line.name, "waiting"):
                self.say(f"{line.name}: {_words(line)}")
            self._seen[line.name] = line.state


def _words(line: Line) -> str:
    """The state of a job with what is known of it."""
    said = {"running": f" on {line.host}", "done": f" in {line.seconds:.0f} s", "failed": f": {line.error}"}
    return line.state + said.get(line.state, "")


def _summary(lines: list[Line]) -> str:
    counts = {state: sum(line.state == state for line in lines) for state in reversed(ORDER)}
    said = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    share = sum(line.progress for line in lines) / max(len(lines), 1)
    return f"{len(lines)} jobs: {said}; {share:.0%} of the work"


def _table(lines: list[Line]) -> Table:
    table = Table(Column("job", no_wrap=True), "state", box=box.SIMPLE)
    for name in ("progress", "seconds", "restarts"):
        table.add_column(name, justify="right")
    table.add_column("host, or error", no_wrap=True, max_width=ERROR_WIDTH)  # the whole error is told at the end
    for line in sorted(lines, key=lambda line: ORDER.index(line.state)):
        numbers = (f"{line.progress:.0%}", f"{line.seconds:.0f}", str(line.restarts))
        table.add_row(*map(Text, (line.name, line.state, *numbers, line.error or line.host)))
    return table
