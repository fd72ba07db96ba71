"""Published figures by name: train the runs of each, draw its panels, and set the numbers beside the paper's."""

import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from coplayer.errors import CoplayerError, require, require_whole
from coplayer.experiments import registry
from coplayer.figures.parity import comparison, table
from coplayer.reproduce import coin_game, meulemans_cleanup, meulemans_exact, meulemans_sampled, strangers, weis
from coplayer.reproduce.run_page import write_report
from coplayer.reproduce.studies import Study
from coplayer.runs.files import JSON_ERRORS, loads, write_atomically
from coplayer.runs.folder import RunFolder, provenance
from coplayer.runs.training import Reporter
from coplayer.settings import adjust

STUDIES: dict[str, Study] = {
    **weis.STUDIES,
    **meulemans_exact.STUDIES,
    **meulemans_sampled.STUDIES,
    **meulemans_cleanup.STUDIES,
    **coin_game.STUDIES,
    **strangers.STUDIES,
}


def listing() -> list[tuple[str, ...]]:
    """All figures as rows of a table, the headings first.

    A row has the figure's name, what it shows with its parts, and by preset the number of runs and their expected time.
    """
    rows = [("figure", "shows", "quick", "paper")]
    for name, study in STUDIES.items():
        parts = f"\n--only {' | '.join(study.parts)}" if study.parts else ""
        cells = [name, f"{study.shows} ({study.source}){parts}"]
        for preset, minutes in study.minutes.items():
            runs = study.runs(preset)
            seeds = ", ".join(sorted({str(settings.run.seeds) for settings in runs.values()}))
            time = "needs a GPU" if minutes is None else f"{minutes:g} minutes on two cores"
            cells.append(f"{len(runs)} runs of {seeds} seeds: {time}" if runs else time)
        rows.append(tuple(cells))
    return rows


class Reproduction(NamedTuple):
    """Where a reproduced figure, its table and the page on its runs are, and the table's text."""

    figure: Path
    table: Path
    report: Path
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
    train: bool = True,
    target: Path | None = None,
) -> Reproduction:
    """Train the runs of a figure in `out/runs` and write its panels and table to `out/name`, with a page on all its
    runs. Where the figure shows several methods, comparison.md is written too.

    Finished runs are used again, stopped ones resumed. Figures share the runs they have in common.

    `only`: one part of the figure, with the runs it builds on, written to `out/name-only`. `seeds`: None for the
    published number, or at most as many of the quick preset. `reporter(run)` shows a run's progress. `train`: False to
    refuse where a run is not finished, and to write no page. `target`: another folder for the panels, the table and the
    page. Raises `CoplayerError` if a folder in `out/runs` has other settings.
    """
    require(name in STUDIES, f"figure: must be one of {', '.join(STUDIES)}, got {name!r}")
    require_whole("seed", seed, at_least=0)
    if seeds is not None:
        require_whole("seeds", seeds, at_least=1)
    study = STUDIES[name]
    require(preset in study.minutes, f"preset: must be one of {', '.join(study.minutes)}, got {preset!r}")
    study.require_extra()
    asked = {"seed": seed} if seeds is None else {"seed": seed, "seeds": seeds}
    planned = {run: adjust(settings, **asked) for run, settings in study.runs(preset).items()}
    if only is not None:
        parts = f"one of {', '.join(study.parts)}" if study.parts else f"left out, {name} has no parts"
        require(only in study.parts, f"only: must be {parts}; got {only!r}")
        planned = _needed(planned, only)
    folder_of = {run: Path(os.path.normpath(out / "runs" / _folder_name(run, its))) for run, its in planned.items()}
    made, folders = {}, {}
    for run, settings in planned.items():
        earlier = {name: folder_of[str(named)] for name, named in registry.built_on(settings).items()}
        made[run] = adjust(settings, **earlier)
        if not train:
            folder = RunFolder.open(folder_of[run])
            registry.require_finished(folder, registry.settings_of_folder(folder)[1])
        folders[run] = registry.go_on(
            made[run], folder_of[run], preset=preset, reporter=reporter(run) if reporter else None
        )
    target = target or out / (name if only is None else f"{name}-{only}")
    target.mkdir(parents=True, exist_ok=True)
    quantities = study.draw(folders, made, target / "figure")
    text, compared = table(quantities), comparison(quantities)
    write_atomically(target / "table.md", text.encode())
    if compared:
        write_atomically(target / "comparison.md", compared.encode())
    seeds_of = {run: settings.run.seeds for run, settings in made.items()}
    how = {"figure": name, "source": study.source, "preset": preset, "only": only, "seed": seed, "seeds": seeds_of}
    how |= {"asked_seeds": seeds} | provenance()
    write_atomically(target / "made.json", json.dumps(how, indent=2).encode() + b"\n")
    page = target / "report.html"
    if train:
        write_report([folder.path for folder in folders.values()], page)
    return Reproduction(target / "figure.png", target / "table.md", page, text)


class Recomputed(NamedTuple):
    """A table made anew, and whether it says what the table before said."""

    table: Path
    same: bool


def recompute(path: Path) -> Recomputed:
    """Draw a figure and its table anew from the finished runs beside it, such as archives; nothing is trained.

    `path`: the folder that `reproduce` wrote, with figure, table and made.json, beside the folder `runs`. Where the new
    table says something else, everything there stays, and the new table is written beside the old one. Raises
    `CoplayerError` where a run is missing or not finished.
    """
    try:
        made = loads((path / "made.json").read_bytes())
        how = {name: made[name] for name in ("preset", "only", "seed")} | {"seeds": made["asked_seeds"]}
        name, before = made["figure"], (path / "table.md").read_text(encoding="utf-8")
    except (OSError, *JSON_ERRORS, KeyError, TypeError, AttributeError) as error:
        raise CoplayerError(f"{path}: holds no figure that 'coplayer reproduce' made ({error!r})") from error
    kinds = {"preset": str, "only": str | None, "seed": int, "seeds": int | None}
    typed = isinstance(name, str) and all(isinstance(how[key], kind) for key, kind in kinds.items())
    require(typed, f"{path}: its made.json does not tell how the figure was made")
    with tempfile.TemporaryDirectory() as folder:
        again = reproduce(name, path.parent, **how, train=False, target=Path(folder))
        same = again.text == before
        if same:
            for drawn in (*again.figure.parent.glob("figure.*"), *again.figure.parent.glob("comparison.md")):
                write_atomically(path / drawn.name, drawn.read_bytes())
    table_file = path / ("table.md" if same else "table.new.md")
    write_atomically(table_file, again.text.encode())
    return Recomputed(table_file, same)


def _needed(planned: dict[str, Any], part: str) -> dict[str, Any]:
    """The runs whose names begin with `part`, and the runs they build on, in the order they must be made."""
    needed = set()
    for run, settings in reversed(planned.items()):
        if run in needed or run.startswith(f"{part}-"):
            needed |= {run, *map(str, registry.built_on(settings).values())}
    return {run: settings for run, settings in planned.items() if run in needed}


def _folder_name(run: str, settings: Any) -> str:
    first = settings.run.seed
    return f"{run}-seeds-{first}-to-{first + settings.run.seeds - 1}"
