"""Run the benchmarks and write a table for people and one for programs: see `python -m benchmarks --help`."""

import importlib.metadata
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Literal

import tyro

from benchmarks.paper import RECIPES
from benchmarks.tables import Section
from coplayer import runtime
from coplayer.errors import require
from coplayer.runs.files import write_atomically

PARTS = (
    "memory",
    "planner",
    "training",
    "a2c",
    "exact",
    "hawk",
    "coala",
    "segments",
    "games",
    "automata",
    "devices",
)  # "paper" is for a GPU


@dataclass(frozen=True)
class Options:
    """Measure the library side by side with a plainly written planner and with PyTorch. Wants a quiet machine."""

    out: Path = Path("results/benchmarks")
    """Folder for benchmarks.md and benchmarks.json."""
    parts: tuple[Literal[*PARTS, "paper"], ...] = PARTS
    """What to measure. By default all but paper, the paper presets, which need a GPU."""
    recipes: tuple[Literal[*RECIPES], ...] = RECIPES
    """Whose paper presets are measured, with --parts paper."""
    seeds: tuple[int, ...] = (1, 5)
    """Seeds trained side by side, with --parts paper."""
    run: Path | None = None
    """Folder of a quick-preset run: plan with its last learners too, whose rollouts vary more."""
    turns: int = 11
    """Times each contestant is measured, in turn with the others; the median counts."""
    turn_seconds: float = 0.5
    """Least length of a measurement; short work is repeated to fill it."""
    updates: int = 1_000
    """Updates of the model that plans, on tabular episodes; the quick preset's first phase has 1000."""
    samples: int = 1_500
    """Rollouts for each state and action that the variance of a planner is taken from."""
    data_share: float = 1.0
    """Share of the paper preset's episodes that the checkpoint is measured with, its size scaled up."""


def machine() -> dict[str, str]:
    """What the numbers depend on, and nothing that names the machine."""
    from coplayer.runs.folder import provenance

    made = provenance()
    packages = made["packages"] | {"torch": _version("torch")}
    return {
        "date": date.today().isoformat(),
        "processor": _from_proc("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": str(runtime.available_cores()),
        "memory": _gigabytes(_from_proc("/proc/meminfo", "MemTotal")),
        "system": f"{platform.system()} {platform.machine()}",
        "python": made["python"],
        **packages,
        "coplayer": f"{made['coplayer']}, commit {made['commit'] or 'unknown'}",
        "load before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _from_proc(path: str, field: str) -> str:
    """The first value of a field in a file of `field : value` lines; empty where there is no such file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(field)), "")


def _gigabytes(kilobytes: str) -> str:
    return f"{int(kilobytes.split()[0]) / 1e6:.0f} GB" if kilobytes else "unknown"


def measure(options: Options) -> Iterator[Section]:
    """All sections asked for, as they are done."""
    from benchmarks import a2c, automata, coala, devices, exact, games, hawk, memory, paper, planner, segments, training

    cores = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else (0, 1)
    pace = {"turns": options.turns, "turn_seconds": options.turn_seconds}
    measured = {
        "memory": lambda: memory.measure(share=options.data_share),
        "planner": lambda: planner.measure(
            core=cores[0], updates=options.updates, run=options.run, samples=options.samples, **pace
        ),
        "training": lambda: training.measure(cores=cores, **pace),
        "a2c": lambda: a2c.measure(cores=cores, **pace),
        "exact": lambda: exact.measure(cores=cores, **pace),
        "hawk": lambda: hawk.measure(core=cores[0], **pace),
        "coala": lambda: coala.measure(core=cores[0], **pace),
        "games": lambda: games.measure(cores=cores, **pace),
        "automata": lambda: automata.measure(cores=cores, **pace),
        "devices": lambda: devices.measure(cores=cores, **pace),
        "segments": lambda: segments.measure(core=cores[0], **pace),
        "paper": lambda: paper.measure(recipes=options.recipes, seeds=options.seeds, turns=options.turns),
    }
    for part in options.parts:
        yield from measured[part]()


def main() -> None:
    options = tyro.cli(Options, prog="python -m benchmarks")
    require(options.turns >= 1, f"turns: must be at least 1, got {options.turns}")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the processes share a GPU
    runtime.configure()
    described = machine()
    sections = []
    for section in measure(options):
        print(section.markdown(), flush=True)
        sections.append(section)
        write(options, described, sections)


def write(options: Options, described: dict[str, str], sections: list[Section]) -> None:
    """Both files, with the sections that are done."""
    lines = [
        "# Benchmarks",
        "",
        f"Made by `python -m benchmarks`. Contestants take turns, {options.turns} each of at least "
        f"{options.turn_seconds:g} s, warm; times are medians, the spread is from the fastest to the slowest turn.",
        "",
        *(f"- {name}: {value}" for name, value in described.items()),
        "",
    ]
    text = "\n".join(lines + [section.markdown() for section in sections])
    data = {
        "machine": described,
        "options": {name: value for name, value in asdict(options).items() if name not in ("out", "run")},
        "sections": [section._asdict() for section in sections],
    }
    options.out.mkdir(parents=True, exist_ok=True)
    write_atomically(options.out / "benchmarks.md", text.encode())
    write_atomically(options.out / "benchmarks.json", (json.dumps(data, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
