"""Published figures by name: train what each needs, draw its panels, and set the numbers beside the paper's."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from coplayer.errors import require
from coplayer.experiments import meulemans_exact, registry
from coplayer.experiments.studies import Study
from coplayer.figures.parity import table
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder, provenance
from coplayer.runs.training import Reporter

STUDIES: dict[str, Study] = {**meulemans_exact.STUDIES}


def listing() -> str:
    """All figures as a Markdown table: name, source, what it shows, runs, expected time."""
    lines = ["| figure | of | shows | runs | minutes on two cores |", "| --- | --- | --- | --- | --- |"]
    for name, study in STUDIES.items():
        seeds = ", ".join(sorted({str(config.seeds) for config in study.runs().values()}))
        runs = f"{len(study.runs())} of {seeds} seeds"
        lines.append(f"| {name} | {study.source} | {study.shows} | {runs} | {study.minutes:g} |")
    return "\n".join(lines) + "\n"


class Reproduction(NamedTuple):
    """Where a reproduced figure is, and what its table says."""

    figure: Path
    table: Path
    text: str


def reproduce(
    name: str,
    out: Path,
    *,
    seeds: int | None = None,
    seed: int = 0,
    reporter: Callable[[str], Reporter] | None = None,
) -> Reproduction:
    """Train the runs of a figure in `out/runs` and write its panels and table to `out/name`.

    Finished runs are used again, broken ones resumed; other figures share those they have in common. `seeds`: None for
    the published number. `reporter(run)` shows a run's progress. Raises `CoplayerError` if a folder in `out/runs` has
    other settings.
    """
    require(name in STUDIES, f"figure: must be one of {', '.join(STUDIES)}, got {name!r}")
    study = STUDIES[name]
    configs = {
        run: dataclasses.replace(config, seed=seed, **({} if seeds is None else {"seeds": seeds}))
        for run, config in study.runs().items()
    }
    folders = {}
    for run, config in configs.items():
        folders[run] = _trained(config, out / "runs" / _folder_name(run, config), reporter(run) if reporter else None)
    target = out / name
    target.mkdir(parents=True, exist_ok=True)
    text = table(study.draw(folders, configs, target / "figure"))
    write_atomically(target / "table.md", text.encode())
    made = {"figure": name, "source": study.source, "seed": seed, "seeds": {r: c.seeds for r, c in configs.items()}}
    described = made | provenance()
    write_atomically(target / "made.json", json.dumps(described, indent=2).encode() + b"\n")
    return Reproduction(target / "figure.png", target / "table.md", text)


def _folder_name(run: str, config: Any) -> str:
    return f"{run}-seeds-{config.seed}-to-{config.seed + config.seeds - 1}"


def _trained(config: Any, path: Path, reporter: Reporter | None) -> RunFolder:
    """The finished run of a config, in `path`."""
    if not (path / "config.json").exists():
        return registry.train(config, path, preset="reproduce", reporter=reporter)
    _, stored = registry.config_of(RunFolder.open(path))
    require(stored == config, f"out: {path} holds a run with other settings; name another folder by --out")
    return registry.resume(path, reporter=reporter)
