"""The command line: each command is a function of a frozen dataclass. See `coplayer --help`."""

import io
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stderr
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro
from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Column, Table
from tyro.extras import SubcommandApp

from coplayer import flags, runtime
from coplayer.errors import CoplayerError, require
from coplayer.experiments import registry
from coplayer.experiments.archive import archive as archive_run
from coplayer.experiments.fingerprints import take as take_fingerprints
from coplayer.experiments.join import join as join_runs
from coplayer.experiments.page import make_page
from coplayer.experiments.protocol import Recipe
from coplayer.experiments.sweep import require_sweepable
from coplayer.experiments.sweep import sweep as train_grid
from coplayer.experiments.tournaments import hold, players_of
from coplayer.experiments.watch import watch as watch_run
from coplayer.experiments.words import run_of
from coplayer.figures.parity import brief
from coplayer.games import files, names
from coplayer.games.matrix import MatrixGame
from coplayer.reproduce import reproduce as reproduction
from coplayer.reproduce.equilibrium import report_equilibrium
from coplayer.reproduce.report import report as report_run
from coplayer.reproduce.run_page import write_report
from coplayer.runs import engines, hosts
from coplayer.runs.board import LiveBoard
from coplayer.runs.display import Display
from coplayer.runs.engines import Engine
from coplayer.runs.folder import RunFolder
from coplayer.runs.stopping import STATUS, Stopped, leaving_at_sigterm
from coplayer.runs.tracking import Tracked
from coplayer.runs.training import Reporter
from coplayer.settings import GAME, adjust, each, flat

_T = TypeVar("_T")
PRESETS = {  # what is said of the usual ones
    "quick": "is made for a CPU of 2 cores",
    "paper": "is as published",
    "demo": "takes about half the time of quick",
    "careful": "plans with more rollouts where the choice is open, at the paper's temperature throughout",
}
Flat = Annotated[tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[_T]], tyro.conf.arg(name="")]
Job = Callable[[], None]
PARSER_SAYS = {  # in the parser's words, and in ours
    r"^.*? -{5,} ": "",  # the title of a box that is drawn without lines
    r" ?-{5,}": "",
    r"Error parsing --": "",
    r"invalid literal for int\(\) with base 10:": "must be a whole number, got",
    r"could not convert string to float:": "must be a number, got",
    r"(Missing from [^:]+: --\S+) .*?\(required\)": r"\1",
    r"argument 'command\.": "argument '",
    r" Argument helptext: .*?(?=For full helptext|$)": "",
    r"\.? ?For full helptext, (see|run):? .*": "",
    r"Unrecognized options: (.*?) (Perhaps|Available)": r"unrecognized options: \1; \2",
}
NO_CACHE = "--no-compilation-cache"
SHOWN = 20  # players of a ranking in the terminal
BY_RECIPE = ("train", "sweep")  # commands with a command of their own for each recipe
GO_ON = ("train", "resume", "sweep", "demo", "reproduce")  # commands that save, and go on where they stopped


@dataclass(frozen=True, kw_only=True)
class Computing:
    """A command that computes."""

    compilation_cache: bool = True
    """Keep compiled programs for later commands, in the user's cache folder. COPLAYER_NO_CACHE=1 turns this off too."""


@dataclass(frozen=True, kw_only=True)
class Reading(Computing):
    """A command that reads runs."""

    game_file: str | None = None
    """File and class of the run's game, where it is a game of your own: path/to/file.py:ClassName. The file is run."""


@dataclass(frozen=True, kw_only=True)
class Training(Computing):
    """A command that trains."""

    log: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ()
    """Trackers that the metrics are sent to as well. Each needs its extra, such as coplayer[tensorboard]."""


@dataclass(frozen=True, kw_only=True)
class OneRun(Training):
    """A command that trains one run, in one process or in several."""

    distributed: bool = False
    """Train one run in several processes, on one host or on many. Each process is started by this command. On Slurm,
    Open MPI, Kubernetes and Cloud TPU they find one another; elsewhere name --coordinator, --processes, --process."""
    coordinator: str | None = None
    """Address of process 0, HOST:PORT, with --distributed. None: the environment variable JAX_COORDINATOR_ADDRESS."""
    processes: int | None = None
    """Number of processes, with --distributed. None: the environment variable JAX_NUM_PROCESSES."""
    process: int | None = None
    """Number of this process, from 0, with --distributed. None: the environment variable JAX_PROCESS_ID."""


@dataclass(frozen=True, kw_only=True)
class OfRecipe(Training):
    """A command that trains by a recipe. The flags of its settings are added by `flags.flags_of`."""

    preset: str = "quick"
    """Values that all other settings start from"""
    game: str
    """Name of the game, or the file and class of a game of your own; that file is run."""


@dataclass(frozen=True, kw_only=True)
class Train(OfRecipe, OneRun):
    """Train an experiment."""

    out: Path
    """Folder for the new run. A folder that already holds files is refused."""


@dataclass(frozen=True, kw_only=True)
class Sweep(OfRecipe):
    """Train a grid of settings with many seeds, as jobs over processes and machines. The same command goes on with what
    is not finished."""

    out: Path
    """Folder for the sweep. All machines must see it."""
    grid: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """A setting and its values, such as learning_rate=1e-3,3e-3. Give the flag once for each setting; all combinations
    are trained. Where a value has a comma, part the values by semicolons: "game.payoffs=1 -1 2 0;4 0 3 2"."""
    seeds_per_job: int = 1
    """Seeds that each job trains, of --seeds. Jobs of the same settings are joined at the end."""
    engine: Literal["processes", "ray", "slurm"] = "processes"
    """Where jobs run: processes of this machine, a Ray cluster (coplayer[ray]) or Slurm (coplayer[slurm])."""
    cores: int = runtime.usual_cores()
    """CPU cores of each job. The default is what coplayer train uses; its numbers are then the same."""
    gpus: float = 0.0
    """GPUs of each job, with ray also a part of one. 0: jobs compute on the CPU."""
    jobs: int = 0
    """Jobs at a time. 0: as many as there is room for."""
    restarts: int = 20
    """Times that a job may be started again, from its last checkpoint, after its process or machine was lost."""
    memory: float | None = None
    """With ray and slurm: memory of each job in GB."""
    address: str | None = None
    """With ray: an existing cluster, such as auto or 10.0.0.1:6379. None: a cluster on this machine for this sweep."""
    partition: str | None = None
    """With slurm: the partition."""
    minutes: int | None = None
    """With slurm: time limit of a job, which is saved and queued again when its time is over. None: 60."""
    sbatch: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """With slurm: another option of sbatch, such as account=me or exclusive. Give the flag once for each."""


@dataclass(frozen=True)
class Demo(Computing):
    """Train two learners that come to cooperate (ppi-mixed, demo preset), or go on with them; draw the figure."""

    out: Path = Path("runs/demo")
    """Folder for the run. A demo that was stopped in this folder goes on there; a run of other settings is refused."""


@dataclass(frozen=True)
class Resume(Reading, OneRun):
    """Go on with a run that was stopped. The numbers are the same as if it had not been stopped."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""


@dataclass(frozen=True)
class Join(Reading):
    """Join finished runs of the same settings, whose seeds follow one another, into one run."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of the runs."""
    out: Path
    """Folder for the joint run. A folder that already holds files is refused."""


@dataclass(frozen=True)
class Archive(Reading):
    """Write the small part of a finished run, from which figures and tables are drawn: settings, metrics, agents."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    out: Path
    """Folder for the archive. A folder that already holds files is refused."""
    phases: Literal["last", "all"] = "last"
    """Phases whose agents are kept: the last, or all."""


@dataclass(frozen=True)
class Evaluate(Reading):
    """Play a run's learners against each other and against fixed players; write figures and evaluation.json."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    phases: Literal["last", "few", "all"] = "few"
    """Phases whose learners play: the last, about six, or all."""
    episodes: int = 128
    """Episodes for each learner and opponent."""


@dataclass(frozen=True)
class Report(Reading):
    """Write a web page, one file, on one run or on several side by side: curves, play, settings. Nothing is played."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of runs: finished, unfinished or archived."""
    out: Path = Path("report.html")
    """File for the page. An earlier report is replaced; any other file that exists is refused."""


@dataclass(frozen=True)
class Watch(Reading):
    """Let agents of a run play, and draw it: an animated GIF and a strip of pictures; for cleanup-lite and coin."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    whom: Literal["auto", "naive", "agent"] = "auto"
    """Whom the first agent meets: a naive learner, or the second agent. auto: a naive learner where the run has
    some."""
    phase: int | None = None
    """Phase after which the agent is taken. None: the last."""
    seed: int | None = None
    """Seed whose agents play. None: the run's first."""
    out: Path | None = None
    """Folder for watch.gif and watch.png, which are replaced there. None: the folder "figures" of the run. An archive
    stays as it is: there --out is needed."""


@dataclass(frozen=True)
class Page(Reading):
    """Write a web page, one file, for a matrix game, CleanUp-lite or the coin game: play against agents, and see what
    they think."""

    agents: tyro.conf.Positional[tuple[str, ...]]
    """Folders of runs for their agents, names such as ppi-mixed for agents that come with the package, and names of
    further opponents, such as Grudger. The strategies tit_for_tat, always_defect and so on are on every page of a game
    in which they have a meaning."""
    out: Path = Path("play.html")
    """File for the page. A file that exists already is refused."""
    phase: int | None = None
    """Phase after which the agents are taken. None: the last."""
    seed: int | None = None
    """Seed whose agents play. None: the run's first."""
    learner: int | None = None
    """Number of the one agent of each run that plays. None: all."""


@dataclass(frozen=True)
class Equilibrium(Reading):
    """Measure how far the learners of a PPI run are from a predictive equilibrium; write equilibrium.json."""

    folder: tyro.conf.Positional[Path]
    """Folder of the run."""
    phases: Literal["last", "few", "all"] = "all"
    """Phases whose learners are measured: the last, about six, or all."""
    episodes: int = 128
    """Fresh episodes for each kind of co-player."""
    histories: int = 4
    """Rounds of each episode at which the learners are asked for a plan."""
    plans: int = 32
    """Independent plans per learner and round, each of as many rollouts as in play."""


@dataclass(frozen=True)
class Reproduce(Computing):
    """Train the runs of a published figure, draw its panels, and write a table of the paper's numbers beside ours."""

    figure: tyro.conf.Positional[str]
    """Name of the figure, or "list" for all of them."""
    out: Path = Path("runs/reproduce")
    """Folder of runs and figures. Finished runs in this folder are used again; stopped runs are resumed."""
    preset: Literal["quick", "paper"] = "quick"
    """Settings of the runs: "quick" is made for a CPU of 2 cores, "paper" is as published."""
    only: str | None = None
    """One part of the figure, such as ppi or a2c: see "coplayer reproduce list"."""
    seeds: int = 0
    """Repetitions. 0: the published number with --preset paper, and at most as many with --preset quick."""
    seed: int = 0
    """Number of the first seed."""


@dataclass(frozen=True)
class Recompute(Computing):
    """Draw figures and tables anew from the archived runs beside them, and say which tables are the same as before."""

    folders: tyro.conf.Positional[tuple[Path, ...]] = (Path("results"),)
    """Folders that "coplayer reproduce" wrote, or folders above them."""


@dataclass(frozen=True, kw_only=True)
class Matches(Computing):
    """A command that lets players of the prisoner's dilemma meet."""

    players: tyro.conf.Positional[tuple[str, ...]]
    """Names of strategies, such as tit_for_tat or "Tit For Tat" (the Axelrod library's name). "axelrod" is all its
    strategies that are finite automata. Folders of runs are for their agents, and names such as ppi-mixed for agents
    that come with the package."""
    rounds: int = 100
    """Rounds of a match."""
    payoffs: tuple[float, float, float, float] = (1.0, -1.0, 2.0, 0.0)
    """Own reward after CC, CD, DC and DD, own action first. Axelrod's: 3 0 5 1."""
    inner_episodes: int = 1
    """Matches in a row that agents with a longer memory remember."""
    seed: int = 0
    """Seed of all random numbers."""


@dataclass(frozen=True)
class Tournament(Matches):
    """Let every player meet every other and itself in the prisoner's dilemma; write a ranking, matrices, pictures."""

    out: Path = Path("runs/tournament")
    """Folder for the results. A folder that already holds files is refused."""
    matches: int = 20
    """Matches of each pair."""
    noise: float = 0.0
    """Probability that a player's move is changed."""
    population: int = 0
    """Players of each type at the start of a Moran process with these payoffs. 0: no population."""


@dataclass(frozen=True)
class Fingerprint(Matches):
    """Draw Ashlock fingerprints: each player's reward against tit-for-tat, disturbed in all ways; write a table too."""

    out: Path = Path("runs/fingerprints")
    """Folder for the results. A folder that already holds files is refused."""
    steps: int = 20
    """Steps from 0 to 1 along each side of the square."""
    matches: int = 10
    """Matches with the probe of each point."""


def train(command: Train, settings: Any, console: Console, *, recipe: str) -> None:
    connect(command)
    with reporting(command, command.out, console) as reporter:
        registry.train(settings, command.out, recipe=recipe, preset=command.preset, reporter=reporter)
    finish(command.out, console)


def sweep(command: Sweep, settings: Any, console: Console, *, recipe: str, arguments: list[str]) -> None:
    """Train all jobs, and say where the results are and which jobs failed."""
    runtime.compute_on_cpu()  # here; jobs have the GPUs
    axes = dict(map(flags.axis_of, command.grid))
    games = [command.game, *(word for value in axes.get(GAME, []) for word in value)]
    done = train_grid(
        settings,
        command.out,
        grid_of(command.grid, settings, arguments, console),
        seeds_per_job=command.seeds_per_job,
        engine=engine_of(command),
        restarts=command.restarts,
        recipe=recipe,
        preset=command.preset,
        log=command.log,
        game_files=[game for game in games if files.names_a_file(game)],
        program=_own_file(),
        board=LiveBoard(console),
    )
    say_where(console, table=done.table)
    for setting, runs in done.runs.items():
        say_where(console, **{setting: ", ".join(map(str, runs)) or "no job is done"})
    for name, error in done.failed.items():
        console.print(f"failed: {name}: {error}", highlight=False, soft_wrap=True, markup=False)
    many = len(done.failed) > 1
    again = f"failed; the same command tries {'them' if many else 'it'} again"
    require(not done.failed, f"{len(done.failed)} job{'s' if many else ''} of {done.jobs} {again}")


def grid_of(texts: Sequence[str], settings: Any, arguments: list[str], console: Console) -> dict[str, list[Any]]:
    """The values of a grid by setting. Each value is parsed as the setting's own flag is."""
    grid, known = {}, dict(names.GAMES)
    of_group = {f"{group}.{field.name}": field.name for group, field, _ in each(settings)}
    for text in texts:
        name, values = flags.axis_of(text)
        name = of_group.get(name, name)
        require(name not in grid, f"grid: {name}: is given twice; name all its values in one --grid")
        require_sweepable(name, settings)
        asked = ([*arguments, *flags.words_of_swept(name, value, settings)] for value in values)
        changed = [parse(words, console).args[1] for words in asked]
        names.GAMES.update(known)  # a game of a file is another class each time that it is loaded
        own = name.removeprefix(f"{GAME}.")
        grid[name] = [getattr(one.game, own) if own != name else flat(one)[name] for one in changed]
    return grid


def engine_of(command: Sweep) -> Engine:
    """The engine that the flags describe. Refuses flags of another engine."""
    needed = {"cores": command.cores, "gpus": command.gpus, "jobs": command.jobs}
    own = {"memory": ("ray", "slurm"), "address": ("ray",)}
    own |= dict.fromkeys(("partition", "minutes", "sbatch"), ("slurm",))
    for name, whose in own.items():
        given = getattr(command, name) not in (None, ())
        require(not given or command.engine in whose, f"{name}: is for --engine {' or '.join(whose)}")
    if command.engine == "ray":
        return engines.Ray(**needed, memory=command.memory, address=command.address)
    if command.engine == "slurm":
        more = {name: value if equals else True for name, equals, value in (o.partition("=") for o in command.sbatch)}
        limits = {"minutes": 60 if command.minutes is None else command.minutes, "restarts": command.restarts}
        return engines.Slurm(**needed, memory=command.memory, partition=command.partition, more=more, **limits)
    return engines.Processes(**needed)


def demo(command: Demo, console: Console) -> None:
    recipe, preset = "ppi-mixed", "demo"
    settings = registry.preset(recipe, preset)
    if RunFolder(command.out).config_file.exists():
        registry.require_settings(settings, command.out)
        resume(Resume(folder=command.out), console)
    else:
        train(Train(out=command.out, preset=preset, game="ipd"), settings, console, recipe=recipe)


def resume(command: Resume, console: Console) -> None:
    connect(command)
    with hosts.together():
        know_game(command, command.folder)
        folder = RunFolder.open(command.folder)
        experiment, settings = registry.settings_of_folder(folder)
        experiment.check(settings)
    if hosts.first_says(registry.is_finished(folder, settings) and (folder.path / "report.html").exists()):
        console.print(
            f"{folder.path} is finished; 'coplayer evaluate' plays its learners anew", highlight=False, soft_wrap=True
        )
        hosts.disconnect()
        return
    with reporting(command, command.folder, console) as reporter:
        registry.resume(command.folder, reporter=reporter)
    finish(command.folder, console)


def connect(command: OneRun) -> None:
    """Join the other processes of the run, if there are any."""
    named = {name: getattr(command, name) for name in ("coordinator", "processes", "process")}
    if command.distributed:
        hosts.connect(**named)
    for name, value in named.items():
        require(command.distributed or value is None, f"{name}: needs --distributed")


@contextmanager
def reporting(command: Training, path: Path, console: Console) -> Iterator[Reporter]:
    """What shows the progress of the run in the folder `path`: nothing, but for the process that writes the folder."""
    with ExitStack() as shown:
        with hosts.together():
            reporter = Tracked(path, command.log)
            if hosts.is_first():
                display = shown.enter_context(Display(console, "compiling"))
                reporter = shown.enter_context(Tracked(path, command.log, display))
        yield reporter


def join(command: Join, console: Console) -> None:
    know_game(command, *command.folders)
    joint = join_runs(list(command.folders), command.out)
    finish(joint.path, console)


def archive(command: Archive, console: Console) -> None:
    know_game(command, command.folder)
    made = archive_run(command.folder, command.out, all_phases=command.phases == "all")
    say_where(console, archive=made.path)


def know_game(command: Reading, *folders: Path) -> None:
    """Make the game of a file known that the user named, before the runs are read."""
    if command.game_file is not None:
        registry.know_game(command.game_file, folders)


def say_where(console: Console, **made: str | Path) -> None:
    """Say where the files are that were made, by what they are."""
    for name, path in made.items():
        console.print(f"{name}: {path}", highlight=False, soft_wrap=True)


def finish(folder: Path, console: Console) -> None:
    """Report on a finished run: its training, and its last agents, who play anew. Process 0 alone does so."""
    hosts.disconnect()
    if not hosts.is_first():
        return
    evaluate(Evaluate(folder=folder, phases="last"), console)
    command = _typed("evaluate", str(folder))
    console.print(f"earlier agents too: {command}", highlight=False, soft_wrap=True, markup=False)


def evaluate(command: Evaluate, console: Console) -> None:
    """Evaluate, draw, and say where the results are and what they say."""
    require(command.episodes >= 1, f"episodes: must be at least 1, got {command.episodes}")
    know_game(command, command.folder)
    folder = RunFolder.open(command.folder)
    with console.status("evaluating") as status:
        made = report_run(
            folder,
            phases=command.phases,
            episodes=command.episodes,
            on_phase=lambda phase: status.update(f"evaluated phase {phase}"),
        )
    page = write_report([folder.path], folder.path / "report.html")
    console.print(Markdown(brief(made.text)))
    if seconds := sum(row["seconds"] for row in folder.timing()):  # an archive has no times
        console.print(f"trained in {seconds / 60:.1f} minutes", highlight=False)
    say_where(console, figure=made.figure, table=made.table, report=page)


def report(command: Report, console: Console) -> None:
    """Write the page, and say where it is."""
    know_game(command, *command.runs)
    say_where(console, report=write_report(command.runs, command.out))


def watch(command: Watch, console: Console) -> None:
    """Play, draw, and say where the pictures are."""
    know_game(command, command.folder)
    with console.status("playing"):
        made = watch_run(
            RunFolder.open(command.folder),
            phase=command.phase,
            seed=command.seed,
            whom=command.whom,
            out=command.out,
        )
    say_where(console, animation=made.animation, strip=made.strip)


def page(command: Page, console: Console) -> None:
    """Write the page, and say where it is."""
    runs = [folder.path for word in command.agents if (folder := run_of(word, "agents")) is not None]
    know_game(command, *runs)
    made = make_page(command.agents, command.out, phase=command.phase, seed=command.seed, learner=command.learner)
    say_where(console, page=made)


def equilibrium(command: Equilibrium, console: Console) -> None:
    """Measure, draw, and say where the results are and what they say."""
    know_game(command, command.folder)
    folder = RunFolder.open(command.folder)
    with console.status("measuring") as status:
        made = report_equilibrium(
            folder,
            phases=command.phases,
            episodes=command.episodes,
            histories=command.histories,
            plans=command.plans,
            on_phase=lambda phase: status.update(f"measured phase {phase}"),
        )
    console.print(Markdown(brief(made.text)))
    say_where(console, figure=made.figure, table=made.table)


def reproduce(command: Reproduce, console: Console) -> None:
    """Reproduce a figure, or list them all."""
    if command.figure == "list":
        (figure, shows, *presets), *rows = reproduction.listing()
        words = max(len(word) for _, cell, *_ in rows for word in cell.split())  # those to be typed are never cut
        columns = Column(figure, no_wrap=True), Column(shows, min_width=words)
        narrow = [Column(name, max_width=11) for name in presets]
        table = Table(*columns, *narrow, box=box.SIMPLE, leading=1)
        for row in rows:
            table.add_row(*row)
        console.print(table)
        return
    for name, value in (("seeds", command.seeds), ("seed", command.seed)):
        require(value >= 0, f"{name}: must be at least 0, got {value}")
    with ExitStack() as shown:
        made = reproduction.reproduce(
            command.figure,
            command.out,
            preset=command.preset,
            only=command.only,
            seeds=command.seeds or None,
            seed=command.seed,
            reporter=lambda run: shown.enter_context(Display(console, run)),
        )
    console.print(Markdown(brief(made.text)))
    say_where(console, figure=made.figure, table=made.table, report=made.report)


def recompute(command: Recompute, console: Console) -> None:
    """Recompute every figure under the folders. Fails where a table is not the same as before."""
    found = sorted({made.parent for folder in command.folders for made in folder.rglob("made.json")})
    found = [path for path in found if (path.parent / "runs").is_dir()]
    require(bool(found), f"folders: no figure with archived runs in {', '.join(map(str, command.folders))}")
    changed = []
    for path in found:
        try:
            made = reproduction.recompute(path)
        except CoplayerError as error:
            console.print(f"{path}: {error}", highlight=False, soft_wrap=True)
            changed.append(str(path))
            continue
        console.print(f"{made.table}: {'same' if made.same else 'CHANGED'}", highlight=False, soft_wrap=True)
        changed += [] if made.same else [str(path)]
    require(not changed, f"{', '.join(changed)}: not the numbers that were there")


def tournament(command: Tournament, console: Console) -> None:
    """Hold a tournament, and say who is best and where the results are."""
    players = players_of(command.players)
    require(len(players) > 0, "players: needs at least one")
    with console.status("playing"):
        held = hold(
            players,
            MatrixGame(command.payoffs, command.rounds),
            command.out,
            matches=command.matches,
            inner_episodes=command.inner_episodes,
            noise=command.noise,
            seed=command.seed,
            population=command.population,
        )
    table = Table("rank", "player", "reward per round", box=box.SIMPLE)
    for place, (name, reward) in enumerate(held.tournament.ranking()[:SHOWN], 1):
        table.add_row(str(place), name, f"{reward:.3f}")
    console.print(table)
    say_where(console, table=held.table, picture=held.picture)


def fingerprint(command: Fingerprint, console: Console) -> None:
    """Take the players' fingerprints, and say where they are."""
    with console.status("playing"):
        taken = take_fingerprints(
            players_of(command.players),
            MatrixGame(command.payoffs, command.rounds),
            command.out,
            steps=command.steps,
            matches=command.matches,
            inner_episodes=command.inner_episodes,
            seed=command.seed,
        )
    say_where(console, table=taken.table, picture=taken.picture)


JOBS = {
    **{Demo: demo, Resume: resume, Join: join, Archive: archive, Evaluate: evaluate, Report: report},
    **{Watch: watch, Page: page, Equilibrium: equilibrium, Tournament: tournament, Fingerprint: fingerprint},
    **{Reproduce: reproduce, Recompute: recompute},
}


def make_app(arguments: list[str], console: Console) -> SubcommandApp:
    """The tree of commands, each of which gives the job to be done. The recipe, the preset and the game among the
    arguments decide which flags there are.
    """
    app = SubcommandApp()
    for verb, (base, job, about) in {
        "train": (Train, train, "Train agents: one command for each experiment, step or variant."),
        "sweep": (Sweep, partial(sweep, arguments=arguments), "Train a grid of settings with many seeds, as jobs."),
    }.items():
        training = SubcommandApp()
        for name, recipe in registry.RECIPES.items():
            if arguments[:1] == [verb] and name in arguments:
                add_training(training, name, recipe, arguments, console, base, job)
            else:  # listed only
                training.command(_listed(recipe), name=name)
        app.command(training, name=verb, help=about)
    for kind, job in JOBS.items():
        add_command(app, kind, job, console)
    return app


def add_command(app: SubcommandApp, kind: type, job: Callable[[Any, Console], None], console: Console) -> None:
    """Add the command whose flags are the fields of `kind`, and whose help is its docstring."""

    def command(command: Flat[flags.with_help(kind)]) -> Job:
        return partial(job, command, console)

    command.__doc__ = kind.__doc__
    app.command(command, name=kind.__name__.lower())


def add_training(
    app: SubcommandApp,
    name: str,
    recipe: Recipe,
    arguments: list[str],
    console: Console,
    base: type,
    job: Callable[..., None],
) -> None:
    """Add the command that does `job` by `recipe`, with the flags of `base` and of the recipe's settings. The preset
    and the game among the arguments give its defaults.
    """
    preset, asked = (flags.value_of(flag, arguments) for flag in ("--preset", "--game"))
    preset = preset if preset in recipe.presets else "quick"
    start = recipe.presets[preset]
    game = names.described(start.game)["name"] if asked is None else flags.know_game(asked)
    start = adjust(start, game=flags.game_of(game, start.game))
    kind = flags.flags_of(start, game, base=base, presets={one: PRESETS.get(one, "") for one in recipe.presets})
    out = Path("runs") / (name if base is Train else f"{name}-sweep")
    default = kind(out=out, preset=preset, game=game)

    def command(command: Annotated[tyro.conf.OmitSubcommandPrefixes[kind], tyro.conf.arg(name="")] = default) -> Job:
        return partial(job, command, flags.settings_from(command, start), console, recipe=name)

    command.__doc__ = _about(recipe)
    app.command(command, name=name)


def _listed(recipe: Recipe) -> Callable[[], None]:
    """A command that is not among the arguments: only its line of help is shown."""

    def command() -> None:
        raise AssertionError("a command that is not among the arguments cannot run")

    command.__doc__ = _about(recipe)
    return command


def _about(recipe: Recipe) -> str:
    """The line of help of a training command."""
    return " ".join(f"{recipe.shows} ({recipe.source})".split())


def parse(arguments: list[str], console: Console) -> Job:
    """The job that the arguments ask for. Raises `CoplayerError` with one line where they ask for none."""
    complaint = io.StringIO()
    if arguments[1:] and arguments[0] in BY_RECIPE:
        known = arguments[1] in registry.RECIPES or arguments[1].startswith("-")
        require(known, f"{arguments[0]}: must be one of {', '.join(registry.RECIPES)}, got {arguments[1]!r}")
    try:
        with redirect_stderr(complaint):
            return make_app(arguments, console).cli(
                prog="coplayer",
                description="Learning among self-interested agents that infer, shape and answer one another.",
                args=arguments,
            )
    except SystemExit as end:
        if not end.code:  # after --help
            raise
        raise CoplayerError(f"{_one_line(complaint.getvalue())} (see {_help_of(arguments)})") from end


def _one_line(boxed: str) -> str:
    """What a box of the parser's says, on one line."""
    lines = (line.strip("│ ") for line in re.sub(r"\x1b\[[0-9;]*m", "", boxed).splitlines())
    text = " ".join(line for line in lines if line and line[0] not in "╭╰─")
    for found, said in PARSER_SAYS.items():
        text = re.sub(found, said, text)
    return text


def _help_of(arguments: list[str]) -> str:
    """The command whose help has the flags that were asked for."""
    words = [word for word in arguments[:1] if word in (*BY_RECIPE, *(kind.__name__.lower() for kind in JOBS))]
    words += [word for word in arguments[1:2] if arguments[0] in BY_RECIPE and word in registry.RECIPES]
    return " ".join(("coplayer", *words, "--help"))


def _typed(*words: str) -> str:
    """A command of coplayer's, or of the user's own file, as it is typed in the system's shell."""
    own = _own_file()
    words = (*(("python", own) if own else ("coplayer",)), *words)
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def _own_file() -> str | None:
    """The file of the user's own that calls `main`, if one does."""
    main = sys.modules["__main__"]
    own = getattr(main, "__spec__", None) is None and getattr(main, "__file__", "").endswith(".py")
    return main.__file__ if own else None


def _to_go_on(arguments: list[str], folder: Path | None = None) -> str:
    """The command that goes on with what was stopped, in a run's folder if that is known."""
    words, game = arguments, flags.value_of("--game", arguments) or ""
    if arguments[:1] == ["train"]:  # the other commands go on by themselves
        folder = folder or Path(flags.value_of("--out", arguments) or f"runs/{arguments[1]}")
        if RunFolder(folder).config_file.exists():
            words = ["resume", str(folder), *(["--game-file", game] if files.names_a_file(game) else [])]
    return _typed(*words)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `coplayer` command. Returns the exit status: 0, 2 after an error, 130 after Ctrl-C, and
    `stopping.STATUS`, 75, where SIGTERM stopped one of `GO_ON`, whose state is saved.

    A process that fails among others ends at once, since the others cannot come to leave together with it.
    """
    status = 1
    try:
        status = run(sys.argv[1:] if arguments is None else arguments)
    except Exception:
        if not hosts.connected():
            raise
        traceback.print_exc()
    if hosts.connected():
        hosts.leave(status)
    return status


def run(arguments: list[str]) -> int:
    """Do what the arguments ask for. Returns the exit status."""
    goes_on = bool(arguments) and arguments[0] in GO_ON
    try:
        with leaving_at_sigterm() if goes_on else nullcontext():
            runtime.configure(compilation_cache=not flags.is_given(NO_CACHE, arguments))
            parse(arguments, Console())()
    except CoplayerError as error:
        print(f"coplayer: {error}", file=sys.stderr)
        if isinstance(error, hosts.FailedTogether):
            hosts.disconnect()
        return 2
    except BrokenPipeError:  # who read our output has enough, such as `coplayer --help | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Stopped as stopped:
        again = _to_go_on(arguments, stopped.folder)
        print(f"coplayer: stopped by SIGTERM, all is saved; '{again}' goes on", file=sys.stderr)
        if stopped.folder is not None:  # at the end of a chunk, where all processes stop together
            hosts.disconnect()
        return STATUS
    except KeyboardInterrupt:
        how = f"; '{_to_go_on(arguments)}' goes on from the last checkpoint" if goes_on else ""
        print(f"coplayer: stopped{how}", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
