"""Published figures by name: train what each needs, draw its panels, and set the numbers beside the paper's."""

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from coplayer.errors import require
from coplayer.experiments import meulemans_exact, meulemans_sampled, registry, weis
from coplayer.experiments.studies import Study
from coplayer.figures.parity import table
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder, provenance
from coplayer.runs.training import Reporter

STUDIES: dict[str, Study] = {**weis.STUDIES, **meulemans_exact.STUDIES, **meulemans_sampled.STUDIES}


def listing() -> list[tuple[str, ...]]:
    """All figures, a row each, the headings first: name, what it shows, its parts, a line each; number of runs and
    expected time by preset.
    """
    rows = [("figure", "shows", "--only", "quick", "paper")]
    for name, study in STUDIES.items():
        cells = [name, f"{study.shows} ({study.source})", "\n".join(study.parts)]
        for preset, minutes in study.minutes.items():
            runs = study.runs(preset)
            seeds = ", ".join(sorted({str(config.seeds) for config in runs.values()}))
            time = "needs a GPU" if minutes is None else f"{minutes:g} minutes on two cores"
            cells.append(f"{len(runs)} runs of {seeds} seeds: {time}" if runs else time)
        rows.append(tuple(cells))
    return rows


class Reproduction(NamedTuple):
    """Where a reproduced figure is, and what its table says."""

    figure: Path
    table: Path
    text: str


def reproduce(
    name: str,
    out: Path,
    *,
    preset: str = "quick",
    only: str | None = None,
    seeds: int | None = None,
    seed: int = 0,
    reporter: Callable[[str], Reporter] | None = None,
) -> Reproduction:
    """Train the runs of a figure in `out/runs` and write its panels and table to `out/name`.

    Finished runs are used again, broken ones resumed; other figures share those they have in common. `only`: one part
    of the figure, with what it builds on, written to `out/name-only`. `seeds`: None for the published number, or a few
    of the quick preset. `reporter(run)` shows a run's progress. Raises `CoplayerError` if a folder in `out/runs` has
    other settings.
    """
    require(name in STUDIES, f"figure: must be one of {', '.join(STUDIES)}, got {name!r}")
    study = STUDIES[name]
    require(preset in study.minutes, f"preset: must be one of {', '.join(study.minutes)}, got {preset!r}")
    planned = {
        run: dataclasses.replace(config, seed=seed, **({} if seeds is None else {"seeds": seeds}))
        for run, config in study.runs(preset).items()
    }
    if only is not None:
        parts = f"one of {', '.join(study.parts)}" if study.parts else f"left out, {name} has no parts"
        require(only in study.parts, f"only: must be {parts}; got {only!r}")
        planned = _needed(planned, only)
    paths = {run: Path(os.path.normpath(out / "runs" / _folder_name(run, config))) for run, config in planned.items()}
    configs, folders = {}, {}
    for run, config in planned.items():
        earlier = {field: paths[str(name)] for field, name in registry.built_on(config).items()}
        configs[run] = dataclasses.replace(config, **earlier)
        folders[run] = _trained(configs[run], paths[run], preset, reporter(run) if reporter else None)
    target = out / (name if only is None else f"{name}-{only}")
    target.mkdir(parents=True, exist_ok=True)
    text = table(study.draw(folders, configs, target / "figure"))
    write_atomically(target / "table.md", text.encode())
    seeds_of = {run: config.seeds for run, config in configs.items()}
    made = {"figure": name, "source": study.source, "preset": preset, "seed": seed, "seeds": seeds_of}
    described = made | provenance()
    write_atomically(target / "made.json", json.dumps(described, indent=2).encode() + b"\n")
    return Reproduction(target / "figure.png", target / "table.md", text)


def _needed(planned: dict[str, Any], part: str) -> dict[str, Any]:
    """The runs whose names begin with `part`, and those they build on, in the order they must be made."""
    needed = set()
    for run, config in reversed(planned.items()):
        if run in needed or run.startswith(f"{part}-"):
            needed |= {run, *map(str, registry.built_on(config).values())}
    return {run: config for run, config in planned.items() if run in needed}


def _folder_name(run: str, config: Any) -> str:
    return f"{run}-seeds-{config.seed}-to-{config.seed + config.seeds - 1}"


def _trained(config: Any, path: Path, preset: str, reporter: Reporter | None) -> RunFolder:
    """The finished run of a config, in `path`."""
    if not (path / "config.json").exists():
        return registry.train(config, path, preset=preset, reporter=reporter)
    _, stored = registry.config_of(RunFolder.open(path))
    require(stored == config, f"out: {path} holds a run with other settings; name another folder by --out")
    return registry.resume(path, reporter=reporter)
