"""What a benchmark hands back: a table and the words around it, for Markdown and JSON."""

from typing import NamedTuple

Cell = str | int | float | None


class Section(NamedTuple):
    """One table; every row has the same columns."""

    title: str
    text: str  # what was measured, and how to read it
    rows: list[dict[str, Cell]]
    verdict: str = ""

    def markdown(self) -> str:
        columns = list(self.rows[0])
        lines = [
            f"## {self.title}",
            "",
            self.text,
            "",
            "| " + " | ".join(columns) + " |",
            "| --- " + "| ---: " * (len(columns) - 1) + "|",
            *("| " + " | ".join(shown(row[column]) for column in columns) + " |" for row in self.rows),
            "",
        ]
        return "\n".join(lines + [self.verdict, ""] * bool(self.verdict))


def shown(cell: Cell) -> str:
    """A number with three significant digits, never in scientific notation; text as it is."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, int) or abs(cell) >= 100:
        return f"{cell:,.0f}"
    return f"{cell:.3g}"


def verdict(claim: str, holds: bool) -> str:
    """A target and whether it was met."""
    return f"**Target {'met' if holds else 'missed'}:** {claim}."
