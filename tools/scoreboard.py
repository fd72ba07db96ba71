"""Writes results/README.md, the scoreboard of all published panels, from results/scoreboard.toml and the tables of the
results pages.

    python tools/scoreboard.py

All numbers are read from the tables that the rows name. A claim comes out where at least four fifths of the seeds keep
the bound of its row.
"""

import re
import tomllib
from pathlib import Path
from typing import NamedTuple

import numpy as np

RESULTS = Path(__file__).parent.parent / "results"
ENOUGH = 0.8  # of the seeds
LEAST = 3  # seeds for a verdict
HEADINGS = (
    "panel",
    "claim",
    "paper",
    "ours (mean ± sd)",
    "95% interval",
    "n",
    "verdict",
    "what differs or falls short",
)
BEFORE = """# Scoreboard

What the two papers claim, panel by panel, and what comes out here. All rows are of the `quick` presets on two to four
CPU cores, unless they say otherwise. A claim *comes out* where at least four in five seeds keep the bound that the
verdict names. Some claims are about a mean or a difference: they come out where the mean, or the whole interval, keeps
the bound. With fewer than three seeds a claim is *open*. The bounds are ours where the paper gives no number. The
interval is a bootstrap of the mean over n seeds, or over n learners that never meet each other; older tables have none.

`make results` writes this page from the tables of the pages it links.
"""


class Found(NamedTuple):
    """A row of a results table."""

    ours: str  # mean and deviation
    mean: float
    by_seed: np.ndarray | None  # None where the table has quartiles alone
    interval: str
    n: int
    verdict: str


def found(page: Path, quantity: str) -> Found:
    """The row of a page's first table that has this quantity."""
    headings = None
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if cells[:1] == ["quantity"]:
            headings = cells
        elif headings and cells[:1] == [quantity]:
            return _read(dict(zip(headings, cells, strict=True)))
    raise SystemExit(f"{page}: no table has the quantity {quantity!r}")


def _read(row: dict[str, str]) -> Found:
    ours, seeds = row["ours (mean ± sd)"], row["by seed"]
    values = None if "quartiles" in seeds else np.array([float(word) for word in seeds.split() if word != "-"])
    n = int(row["n"]) if row.get("n") else len(values)
    return Found(ours, float(ours.split()[0]), values, row.get("95% interval", ""), n, row["verdict"])


def verdict(row: dict, ours: Found) -> str:
    """Whether a claim comes out, and by which bound."""
    if "short" in row:
        return f"short: {row['short']}"
    words, share = f"at {'least' if 'at_least' in row else 'most'}", None  # share: how many keep it, of how many
    bound = row.get("at_least", row.get("at_most"))
    if "at_least" in row and "at_most" in row:
        words, bound = f"{row['at_least']:g} to", row["at_most"]

    def kept(values: np.ndarray) -> np.ndarray:
        return (values >= row.get("at_least", -np.inf)) & (values <= row.get("at_most", np.inf))

    if row.get("mean"):
        met = bool(kept(np.array(ours.mean)))
        return f"{'comes out' if met else 'short'}: mean {words} {bound:g} asked"
    if row.get("interval"):
        ends = np.array([float(end) for end in ours.interval.split(" to ")])
        met = bool((kept(ends) & (ends != bound)).all())  # an end on the bound may lie beyond it: tables round
        return f"{'comes out' if met else 'short'}: interval {words} {bound:g} asked"
    named = re.fullmatch(rf"{words} ([\d.]+) in (\d+) of (\d+)", ours.verdict)
    if named and float(named[1]) == bound:
        share = (int(named[2]), int(named[3]))
    elif ours.by_seed is not None:
        share = (int(kept(ours.by_seed).sum()), len(ours.by_seed))
    if share is None:
        raise SystemExit(f"{row['page']}: {row['quantity']!r} does not say how many seeds are {words} {bound:g}")
    met = "comes out" if share[0] >= ENOUGH * share[1] else "short"
    return f"{met if share[1] >= LEAST else 'open'}: {words} {bound:g} in {share[0]} of {share[1]}"


def readme_of(page: str) -> Path:
    """The page to read, from results/: README.md beside a table, or in the nearest folder above."""
    return next(folder / "README.md" for folder in Path(page).parents if (RESULTS / folder / "README.md").exists())


def line(row: dict) -> str:
    ours = found(RESULTS / row["page"], row["quantity"])
    linked = f"[{ours.ours}]({readme_of(row['page'])})"
    cells = (row["panel"], row["claim"], row["paper"], linked, ours.interval, str(ours.n), verdict(row, ours))
    return f"| {' | '.join((*cells, row.get('note', '')))} |"


def scoreboard() -> str:
    lines, counts = [], [0, 0]
    for part in tomllib.loads((RESULTS / "scoreboard.toml").read_text(encoding="utf-8"))["part"]:
        rows = [line(row) for row in part["row"]]
        counts[0] += sum("| comes out: " in row for row in rows)
        counts[1] += len(rows)
        table = [f"| {' | '.join(HEADINGS)} |", f"|{' --- |' * len(HEADINGS)}", *rows]
        lines += [f"## {part['title']}", "", part["before"], "", *table, ""]
    summary = f"{counts[0]} of {counts[1]} rows come out.\n"
    return "\n".join([BEFORE, summary, *lines]).rstrip() + "\n"


if __name__ == "__main__":
    (RESULTS / "README.md").write_text(scoreboard(), encoding="utf-8")
