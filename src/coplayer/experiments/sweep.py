"""Sweeps: a grid of settings, each trained with many seeds, as jobs over processes and machines.

The folder of a sweep holds:

    sweep.json       what is swept: the settings of each job. Another sweep is refused in the same folder
    jobs/NAME        the run folder of each job
    settings/NAME    one run for each setting, joined from its jobs (see `experiments.join`)
    results.csv      one row for each job, setting, seed and learner: the swept settings and the last metrics
    logs/NAME.json   how the job stands; logs/NAME.txt what it printed
    engine           the engine's own files
"""

import dataclasses
import itertools
import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from coplayer.errors import CoplayerError, imported, in_short, require, require_whole
from coplayer.experiments import registry, stored, swept
from coplayer.experiments.join import join
from coplayer.games import names
from coplayer.runs import engines
from coplayer.runs.board import Board, Line, Silent
from coplayer.runs.engines import Engine, Lost
from coplayer.runs.files import JSON_ERRORS, loads, require_new_folder, write_atomically, write_rows
from coplayer.runs.folder import RunFolder
from coplayer.runs.stopping import HeldSignals
from coplayer.runs.tracking import TRACKERS
from coplayer.settings import GAME, adjust, flat

FORMAT = 1
SEEDS = ("seeds", "seed")  # no part of a grid: every setting is trained with the same ones
POLL_SECONDS = 0.5
LONGEST_NAME = 100  # of a job, in characters


class Job(NamedTuple):
    """One training of a sweep."""

    name: str
    setting: str  # the name of its point of the grid
    values: dict[str, Any]  # of the swept settings
    settings: Any


class Swept(NamedTuple):
    """What came of a sweep."""

    table: Path
    """results.csv."""
    runs: dict[str, list[Path]]
    """The folders of the finished runs by setting. A setting has one folder, joined from all its jobs, where the
    experiment can be joined and all jobs are done. Otherwise a setting has one folder for each finished job.
    """
    failed: dict[str, str]
    """The jobs that failed, and the settings whose jobs could not be joined, each with its error on one line."""
    jobs: int
    """The number of all jobs."""


def sweep(
    settings: Any,
    out: str | Path,
    grid: Mapping[str, Sequence[Any]] | None = None,
    *,
    seeds_per_job: int = 1,
    engine: Engine | None = None,
    restarts: int = 20,
    recipe: str | None = None,
    preset: str = "custom",
    log: Sequence[str] = (),
    game_files: Sequence[str] = (),
    program: str | Path | None = None,
    board: Board | None = None,
) -> Swept:
    """Train all combinations of a grid of settings in the folder `out`, each with all seeds of `settings`, as jobs.

    `grid`: values by the name of a setting, such as `{"hidden": [32, 64], "game.rounds": [10, 20]}`. `seeds_per_job`:
    seeds that each job trains; jobs of one setting are joined at the end. `engine`: where jobs run, such as
    `coplayer.engines.Ray(cores=2)`; None: processes of this machine. `restarts`: times that a job may be started
    again, each time from its last checkpoint, since its process or machine was lost. `recipe` and `preset`: as of
    `coplayer.train`. `log`: trackers, as of `coplayer train --log`. `game_files`: games of your own, as
    "path/to/file.py:ClassName", which every job loads. `program`: a Python file that every job runs first, to register
    what the settings name. What it does under `if __name__ == "__main__"` is left out; its own call of `sweep` must be
    there. `board` shows the jobs; None: silence.

    The same call again goes on with what is not finished. A job that fails leaves the others alone. Raises
    `CoplayerError` before any job starts where settings cannot be trained, or where `out` holds something else.
    """
    require_whole("seeds_per_job", seeds_per_job, at_least=1)
    require_whole("restarts", restarts, at_least=0)
    for name in log:
        require(name in TRACKERS, f"log: must be of {', '.join(TRACKERS)}, got {name!r}")
        imported(TRACKERS[name].MODULE, name, setting="log")
    out = Path(out)
    registry.require_recipe(recipe, settings)
    jobs = plan(settings, grid or {}, seeds_per_job)
    by_name = {job.name: job for job in jobs}
    _claim(out, jobs, preset)
    engine, board = engine or engines.Processes(), board or Silent()
    given = {
        "recipe": recipe,
        "preset": preset,
        "log_to": list(log),
        "game_files": [_absolute(file) for file in game_files],
        "program": program and os.path.abspath(program),
        "compilation_cache": bool(jax.config.jax_enable_compilation_cache),
        "cores": engine.cores,
        "gpus": engine.gpus,
        "own_cores": engine.own_cores,
    }
    specs = {job.name: _spec(job, out) | given for job in jobs}
    (out / "logs").mkdir(exist_ok=True)
    with RunFolder(out).locked(), board:
        lines = {name: _line(spec, by_name[name].settings) for name, spec in specs.items()}
        _Course(specs, lines, engine, board, restarts).run(out)
        done = [job for job in jobs if lines[job.name].state == "done"]
        failed = {name: line.error for name, line in lines.items() if line.state == "failed"}
        runs = {job.setting: [_folder(own.name, out) for own in done if own.setting == job.setting] for job in jobs}
        write_rows(out / "results.csv", _table(done, runs, out))  # stays, whatever becomes of the joins
        if joint := _joined(jobs, runs, out, failed):
            runs |= joint
            write_rows(out / "results.csv", _table(done, runs, out))
    return Swept(out / "results.csv", runs, failed, len(jobs))


def _absolute(game_file: str) -> str:
    """A file and a class, whose file is named from the root on."""
    file, _, name = game_file.rpartition(":")
    return f"{os.path.abspath(file)}:{name}"


def plan(settings: Any, grid: Mapping[str, Sequence[Any]], seeds_per_job: int) -> list[Job]:
    """The jobs of a sweep, each with its own settings and seeds. Raises `CoplayerError` where one cannot be trained."""
    registry.experiment_of(settings)
    _check_grid(settings, grid)
    run, jobs, taken = settings.run, [], set()
    require_whole("seeds", run.seeds, at_least=1)
    require_whole("seed", run.seed, at_least=0)
    for values in itertools.product(*grid.values()):
        point = dict(zip(grid, values, strict=True))
        setting = _unique(_name(point) or "run", taken)
        try:
            whole = registry.checked(_at(settings, point))
        except CoplayerError as error:
            raise CoplayerError(f"{error} (with {setting})" if point else str(error)) from error
        for first in range(run.seed, run.seed + run.seeds, seeds_per_job):
            count = min(seeds_per_job, run.seed + run.seeds - first)
            seeds = f"seed={first}" if count == 1 else f"seeds={first}-{first + count - 1}"
            jobs.append(Job(f"{setting},{seeds}", setting, point, adjust(whole, seed=first, seeds=count)))
    return jobs


def require_sweepable(name: str, settings: Any) -> None:
    """Refuse a name of a grid that is neither a setting nor, as "game.rounds", one of the game's own."""
    require(name not in SEEDS, f"grid: {name}: seeds are the same for all settings: name them by --seed and --seeds")
    own = [f"{GAME}.{field.name}" for field in dataclasses.fields(settings.game) if field.init]
    known = [name for name in flat(settings) if name not in SEEDS] + own
    require(name in known, f"grid: {name}: must be one of {', '.join(known)}")


def _check_grid(settings: Any, grid: Mapping[str, Sequence[Any]]) -> None:
    """Refuse names that are no settings, and values that are none or the same."""
    for name, values in grid.items():
        require_sweepable(name, settings)
        some = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
        require(some, f"grid: {name}: must be a list of values, got {values!r}")
        twice = next((value for at, value in enumerate(values) if value in values[:at]), None)
        require(twice is None, f"grid: {name}: has {twice!r} twice")
    both = GAME in grid and next((name for name in grid if name.startswith(f"{GAME}.")), None)
    require(not both, f"grid: {GAME} and {both}: only one of the two can be swept")


def _at(settings: Any, point: Mapping[str, Any]) -> Any:
    """The settings at a point of the grid."""
    of_game = {name.partition(".")[2]: value for name, value in point.items() if name.startswith(f"{GAME}.")}
    try:
        game = dataclasses.replace(settings.game, **of_game)
    except CoplayerError as error:
        raise CoplayerError(f"{GAME}.{error}") from error
    others = {name: value for name, value in point.items() if not name.startswith(f"{GAME}.")}
    return adjust(settings, **{GAME: game} | others)


def _name(point: Mapping[str, Any]) -> str:
    """A point of the grid as the name of a folder."""
    words = ",".join(f"{name}={_word(value)}" for name, value in point.items())
    return re.sub(r"[^\w.,=+-]+", "_", words, flags=re.ASCII)[:LONGEST_NAME]


def _word(value: Any) -> str:
    """A value of a setting in one word, for names and tables."""
    if isinstance(value, list | tuple):
        return "+".join(map(_word, value))
    return names.described(value)["name"] if dataclasses.is_dataclass(value) else str(value)


def _unique(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken already."""
    free = next(n for n in itertools.chain([name], (f"{name}-{at}" for at in itertools.count(2))) if n not in taken)
    taken.add(free)
    return free


def _folder(job: str, out: Path) -> Path:
    return out / "jobs" / job


def _spec(job: Job, out: Path) -> dict[str, Any]:
    """A job as `swept.train` takes it."""
    root = Path(os.path.abspath(out))
    folder, logs = _folder(job.name, root), root / "logs"
    return {
        "name": job.name,
        "experiment": registry.experiment_of(job.settings).NAME,
        "settings": stored.described(job.settings, folder),
        "folder": str(folder),
        "log": str(logs / f"{job.name}.txt"),
        "status": str(logs / f"{job.name}.json"),
    }


def _claim(out: Path, jobs: Sequence[Job], preset: str) -> None:
    """Make the folder of a sweep, or see that it holds this one."""
    file = out / "sweep.json"
    described = {job.name: stored.described(job.settings, _folder(job.name, out)) for job in jobs}
    experiment = registry.experiment_of(jobs[0].settings).NAME
    ours = {"format": FORMAT, "experiment": experiment, "preset": preset, "jobs": described}
    if not file.exists():
        require_new_folder(out)
        write_atomically(file, json.dumps(ours, indent=1).encode() + b"\n")
        return
    try:
        theirs = loads(file.read_bytes())
    except (OSError, *JSON_ERRORS) as error:
        raise CoplayerError(f"{file}: unreadable") from error
    same = json.loads(json.dumps(ours)) == theirs
    require(same, f"out: {out} holds another sweep, of other settings or seeds; name another folder by --out")


def _line(spec: Mapping[str, Any], settings: Any) -> Line:
    """How a job stands before the sweep begins or goes on: "done" if its last checkpoint has been saved too."""
    stands = swept.status_of(Path(spec["status"]))
    line = Line(spec["name"], progress=stands.get("progress", 0.0))
    if stands.get("state") == "done" and registry.is_finished(RunFolder(spec["folder"]), settings):
        line.take(stands)
    return line


class _Course:
    """The course of a sweep: which jobs wait, run and have ended."""

    def __init__(
        self, specs: dict[str, dict[str, Any]], lines: dict[str, Line], engine: Engine, board: Board, restarts: int
    ):
        self._specs, self._lines, self._engine, self._board, self._restarts = specs, lines, engine, board, restarts
        self._waiting = [name for name, line in lines.items() if line.state != "done"]
        self._running: dict[str, Any] = {}  # handles

    def run(self, out: Path) -> None:
        """Bring all jobs to their end. Where this process is asked to stop, the jobs are too, and save."""
        self._board.show(self._lines.values())
        if not self._waiting:
            return
        self._engine.open(swept.train, Path(os.path.abspath(out / "engine")))
        try:
            with HeldSignals(out) as held:
                while (self._waiting or self._running) and not held.came:
                    self._step()
        finally:
            if self._running:
                self._board.say("the submitted jobs go on" if self._engine.stays else "stopping: the jobs save")
                self._engine.stop(list(self._running.values()))
            self._engine.close()

    def _step(self) -> None:
        room = self._engine.at_a_time()
        batch = self._waiting[: None if room is None else max(room - len(self._running), 0)]
        self._waiting = self._waiting[len(batch) :]
        for name in batch:  # what it says of an earlier process is out of date
            Path(self._specs[name]["status"]).unlink(missing_ok=True)
        if batch:
            handles = self._engine.start([self._specs[name] for name in batch])
            self._running |= zip(batch, handles, strict=True)
        time.sleep(POLL_SECONDS)
        for name in list(self._running):
            self._look_at(name)
        self._board.show(self._lines.values())

    def _look_at(self, name: str) -> None:
        line, ended = self._lines[name], self._engine.ended(self._running[name])
        line.take(swept.status_of(Path(self._specs[name]["status"])))
        if ended is None:
            return
        del self._running[name]
        if isinstance(ended, Lost) or ended["state"] == "stopped":
            reason = ended.reason if isinstance(ended, Lost) else ended.get("error", "stopped by a signal")
            line.restarts += 1
            again = line.restarts <= self._restarts
            line.take({"state": "waiting"} if again else {"state": "failed", "error": f"{reason}, too many times"})
            self._waiting += [name] if again else []
            self._board.say(f"{name}: {reason}; {'it goes on from its last checkpoint' if again else 'given up'}")
        else:
            line.take(ended | ({"progress": 1.0} if ended["state"] == "done" else {}))


def _joined(
    jobs: Sequence[Job], runs: Mapping[str, list[Path]], out: Path, failed: dict[str, str]
) -> dict[str, list[Path]]:
    """The joint run of each setting whose jobs are all done, where the experiment allows it. A join that fails is added
    to `failed`, and leaves the others alone."""
    joint = {}
    for setting, count in Counter(job.setting for job in jobs).items():
        if registry.experiment_of(jobs[0].settings).JOINABLE and 1 < count == len(runs[setting]):
            try:
                joint[setting] = [_join(runs[setting], out / "settings" / setting)]
            except Exception as error:
                failed[setting] = in_short(error)
    return joint


def _join(folders: list[Path], target: Path) -> Path:
    """The runs as one, in the folder `target`."""
    if not target.exists():
        join(folders, target)
    return target


def _table(jobs: Sequence[Job], runs: Mapping[str, Sequence[Path]], out: Path) -> Iterable[list[Any]]:
    """The rows of results.csv, the headings first."""
    rows = []
    for job in jobs:
        folder = RunFolder(_folder(job.name, out))
        run = runs[job.setting][0] if len(runs[job.setting]) == 1 else folder.path
        known = {"job": job.name, "run": run.relative_to(out).as_posix()}
        known |= {name: _word(value) for name, value in job.values.items()}
        known["seconds"] = round(sum(row["seconds"] for row in folder.timing()), 3)
        last: dict[tuple[int, int], dict[str, Any]] = {}
        for row in folder.metrics():
            last.setdefault((row["seed"], row["learner"]), {}).update(row)
        rows += [known | {name: row[name] for name in ("seed", "learner")} | row for row in last.values()]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return [columns, *([row.get(name, "") for name in columns] for row in rows)]
