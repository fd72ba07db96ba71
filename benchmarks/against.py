"""The benchmarks of an earlier commit beside those of this tree, in one run: see `python -m benchmarks.against --help`.

Each turn runs `python -m benchmarks` for one part after the other. Each part runs first in a checkout of the commit and
then here, in processes of their own. Both have the same interpreter and packages. So a change of the machine's speed
meets both. The files are written after every part, with what is done.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import tyro

from benchmarks.__main__ import machine
from benchmarks.tables import Section
from coplayer.errors import CoplayerError, require
from coplayer.runs.files import write_atomically

TREE = Path(__file__).parent.parent
NEVER = "first call, s"  # compared with whatever the compilation cache holds
Numbers = dict[tuple[str, str, str], float]  # of one turn, by section, row and column


@dataclass(frozen=True)
class Options:
    """Measure an earlier commit beside this tree. Wants a quiet machine."""

    commit: tyro.conf.Positional[str]
    """The earlier commit."""
    out: Path
    """Folder for against.md and against.json."""
    parts: tuple[str, ...] = ("coala",)
    """What to measure, as in "python -m benchmarks --help". The earlier commit must have these parts too."""
    turns: int = 3
    """Times each of the two is measured, in turn with the other; the median counts."""


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """A work tree of the commit, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="coplayer-against-") as folder:
        tree = Path(folder) / "tree"
        made = subprocess.run(
            ["git", "worktree", "add", "--detach", str(tree), commit], cwd=TREE, capture_output=True, text=True
        )
        if made.returncode:
            raise CoplayerError(f"commit: git has no work tree of {commit} ({made.stderr.strip().splitlines()[-1]})")
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=TREE, check=True)


def sections_of(tree: Path, part: str) -> list[dict[str, Any]]:
    """What `python -m benchmarks` measures of a part in a work tree, each contestant once."""
    with tempfile.TemporaryDirectory(prefix="coplayer-against-") as folder:
        command = [sys.executable, "-m", "benchmarks", "--parts", part, "--turns", "1", "--out", folder]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(tree / "src"), str(tree)))}
        done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.DEVNULL)
        require(done.returncode == 0, f"parts: the benchmark {part} failed in {tree}")
        return json.loads((Path(folder) / "benchmarks.json").read_text())["sections"]


def numbers(sections: list[dict[str, Any]]) -> Numbers:
    """The numbers of all tables, each of which names a row by the row's first column."""
    return {
        (section["title"], str(next(iter(row.values()))), column): float(value)
        for section in sections
        for row in section["rows"]
        for column, value in row.items()
        if isinstance(value, int | float) and column != NEVER
    }


def compared(before: list[Numbers], now: list[Numbers]) -> list[dict[str, Any]]:
    """A row for each number that both trees have: medians over the turns, and the ratios' median and range."""
    rows = []
    for key in now[0]:
        if not all(key in turn for turn in before):
            continue
        ratios = [after[key] / earlier[key] for earlier, after in zip(before, now, strict=True) if earlier[key]]
        if not ratios:
            continue
        rows.append(
            {
                "contestant": f"{key[0]}: {key[1]}",
                "quantity": key[2],
                "before": median(turn[key] for turn in before),
                "now": median(turn[key] for turn in now),
                "now over before": median(ratios),
                "range": f"{min(ratios):.3g} to {max(ratios):.3g}",
            }
        )
    return rows


def main() -> None:
    options = tyro.cli(Options, prog="python -m benchmarks.against")
    require(options.turns >= 1, f"turns: must be at least 1, got {options.turns}")
    described = machine()
    before: dict[str, list[Numbers]] = {part: [] for part in options.parts}
    now: dict[str, list[Numbers]] = {part: [] for part in options.parts}
    with checkout(options.commit) as tree:
        for _ in range(options.turns):
            for part in options.parts:
                before[part].append(numbers(sections_of(tree, part)))
                now[part].append(numbers(sections_of(TREE, part)))
                rows = [row for one in options.parts if now[one] for row in compared(before[one], now[one])]
                section = write(options, described, rows)
    print(section.markdown())


def write(options: Options, described: dict[str, str], rows: list[dict[str, Any]]) -> Section:
    """Both files. Returns their table."""
    section = Section(
        title=f"Commit {options.commit} and this tree",
        text=f"Both by the same interpreter and packages, in turn, {options.turns} times; medians. The ratio is of "
        "each turn's two numbers.",
        rows=rows,
    )
    lines = [
        "# Before and after",
        "",
        f"Made by `python -m benchmarks.against {options.commit} --parts {' '.join(options.parts)} --turns "
        f"{options.turns}`.",
        "",
        *(f"- {name}: {value}" for name, value in described.items()),
        "",
        section.markdown(),
    ]
    data = {"machine": described, "rows": section.rows}
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "against.md", "\n".join(lines).encode())
    write_atomically(options.out / "against.json", (json.dumps(data, indent=1) + "\n").encode())
    return section


if __name__ == "__main__":
    main()
