"""The command line: each command is a function of a frozen dataclass. See `coplayer --help`."""

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Generic, Literal, TypeVar, get_args

import tyro
from rich import box
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Column, Table
from tyro.extras import SubcommandApp

from coplayer import runtime
from coplayer.errors import CoplayerError, require
from coplayer.experiments import registry
from coplayer.experiments import reproduce as reproduction
from coplayer.experiments.equilibrium import report_equilibrium
from coplayer.experiments.join import join as join_runs
from coplayer.experiments.recipes import Recipe
from coplayer.experiments.report import Report, report
from coplayer.experiments.reproduce import Reproduction
from coplayer.runs.display import Display
from coplayer.runs.folder import RunFolder

_T = TypeVar("_T")
Preset = Literal["quick", "paper"]
Flat = Annotated[tyro.conf.OmitArgPrefixes[tyro.conf.OmitSubcommandPrefixes[_T]], tyro.conf.arg(name="")]


@dataclass(frozen=True)
class Train(Generic[_T]):
    """Train an experiment whose settings are a `_T`."""

    config: tyro.conf.OmitArgPrefixes[_T]
    out: Path
    """The run's folder; a new one."""
    preset: Preset = "quick"
    """Where all other settings start from: "quick" is made for a 2-core CPU, "paper" is the published setting."""


@dataclass(frozen=True)
class Resume:
    """Go on with a run that was stopped, to the same numbers as if it had not been."""

    folder: tyro.conf.Positional[Path]
    """The run's folder."""


@dataclass(frozen=True)
class Join:
    """Put finished runs of the same settings together whose seeds follow one another: for seeds trained apart."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """The folders of the runs."""
    out: Path
    """The folder of all of them; a new one."""


@dataclass(frozen=True)
class Evaluate:
    """Play a run's learners against each other and against fixed players; draw figures, write evaluation.json."""

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    phases: Literal["last", "few", "all"] = "few"
    """Which phases' learners: the last, about six, or all."""
    episodes: int = 128
    """Episodes for each learner and opponent."""


@dataclass(frozen=True)
class Equilibrium:
    """Measure how far a PPI run's learners are from a predictive equilibrium; draw it, write equilibrium.json."""

    folder: tyro.conf.Positional[Path]
    """The run's folder."""
    phases: Literal["last", "few", "all"] = "all"
    """Which phases' learners: the last, about six, or all."""
    episodes: int = 128
    """Fresh episodes for each kind of co-player."""
    histories: int = 4
    """Rounds of each episode at which the learners are asked."""
    plans: int = 32
    """Independent plans of each learner for each of them, each of as many rollouts as in play."""


@dataclass(frozen=True)
class Reproduce:
    """Train what a published figure needs, draw its panels, and write a table of the paper's numbers beside ours."""

    figure: tyro.conf.Positional[str]
    """Its name, or "list" for all of them."""
    out: Path = Path("runs/reproduce")
    """Where the runs and the figures go; finished runs in it are used again, broken ones resumed."""
    preset: Preset = "quick"
    """The settings of its runs: "quick" is made for a 2-core CPU, "paper" is the published setting."""
    only: str | None = None
    """One part of the figure, such as ppi or a2c: see "coplayer reproduce list"."""
    seeds: int = 0
    """Repetitions; 0: the published number, or a few of the quick preset."""
    seed: int = 0
    """The first seed."""


def train(command: Train, console: Console) -> None:
    with Display(console, "compiling") as display:
        registry.train(command.config, command.out, preset=command.preset, reporter=display)
    evaluate(Evaluate(command.out), console)


def resume(command: Resume, console: Console) -> None:
    folder = RunFolder.open(command.folder)
    module, config = registry.config_of(folder)
    module.check(config)
    if registry.is_finished(folder, config) and (folder.path / "summary.md").exists():
        console.print(
            f"{folder.path} is finished; 'coplayer evaluate' plays its learners anew", highlight=False, soft_wrap=True
        )
        return
    with Display(console, "compiling") as display:
        registry.resume(command.folder, reporter=display)
    evaluate(Evaluate(command.folder), console)


def join(command: Join, console: Console) -> None:
    joint = join_runs(list(command.folders), command.out)
    evaluate(Evaluate(joint.path), console)


def say_where(made: Report | Reproduction, console: Console) -> None:
    """Say where the figure and the table are."""
    for name, path in (("figure", made.figure), ("table", made.table)):
        console.print(f"{name}: {path}", highlight=False, soft_wrap=True)


def evaluate(command: Evaluate, console: Console) -> None:
    """Evaluate, draw, and say where the results are and what they say."""
    require(command.episodes >= 1, f"episodes: must be at least 1, got {command.episodes}")
    folder = RunFolder.open(command.folder)
    with console.status("evaluating") as status:
        made = report(
            folder,
            phases=command.phases,
            episodes=command.episodes,
            told=lambda phase: status.update(f"evaluated phase {phase}"),
        )
    seconds = sum(row["seconds"] for row in folder.timing())
    console.print(Markdown(made.text))
    console.print(f"trained in {seconds / 60:.1f} minutes", highlight=False)
    say_where(made, console)


def equilibrium(command: Equilibrium, console: Console) -> None:
    """Measure, draw, and say where the results are and what they say."""
    folder = RunFolder.open(command.folder)
    with console.status("measuring") as status:
        made = report_equilibrium(
            folder,
            phases=command.phases,
            episodes=command.episodes,
            histories=command.histories,
            plans=command.plans,
            told=lambda phase: status.update(f"measured phase {phase}"),
        )
    console.print(Markdown(made.text))
    say_where(made, console)


def reproduce(command: Reproduce, console: Console) -> None:
    """Reproduce a figure, or list them all."""
    if command.figure == "list":
        heading, *rows = reproduction.listing()
        to_be_typed = ("figure", "--only")
        table = Table(*(Column(name, no_wrap=name in to_be_typed) for name in heading), box=box.SIMPLE, leading=1)
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
    console.print(Markdown(made.text))
    say_where(made, console)


def make_app(preset: Preset, console: Console) -> SubcommandApp:
    """The tree of commands, every setting's default taken from `preset`."""
    app, training = SubcommandApp(), SubcommandApp()
    for name, recipe in registry.RECIPES.items():
        add_training(training, name, recipe, preset, console)
    app.command(training, name="train")

    @app.command(name="resume")
    def _(command: Flat[Resume]) -> None:
        """Go on with a run that was stopped, to the same numbers as if it had not been."""
        resume(command, console)

    @app.command(name="join")
    def _(command: Flat[Join]) -> None:
        """Put finished runs of the same settings and of different seeds together to one."""
        join(command, console)

    @app.command(name="evaluate")
    def _(command: Flat[Evaluate]) -> None:
        """Play a run's learners against each other and against fixed players; draw the figures and the table."""
        evaluate(command, console)

    @app.command(name="equilibrium")
    def _(command: Flat[Equilibrium]) -> None:
        """Measure how far a PPI run's learners are from a predictive equilibrium, phase by phase."""
        equilibrium(command, console)

    @app.command(name="reproduce")
    def _(command: Flat[Reproduce]) -> None:
        """Reproduce a published figure: train, draw its panels, set its numbers beside the paper's."""
        reproduce(command, console)

    return app


def add_training(app: SubcommandApp, name: str, recipe: Recipe, preset: Preset, console: Console) -> None:
    """Add the command that trains by `recipe`, every setting's default taken from `preset`."""
    config = recipe.presets[preset]
    start = Train(config, Path("runs") / name, preset)

    def command(command: Flat[Train[type(config)]] = start) -> None:
        train(command, console)

    command.__doc__ = f"{recipe.shows} ({recipe.source})"
    app.command(command, name=name)


def preset_in(arguments: list[str]) -> Preset:
    """The preset asked for: found before all else, since it sets the other flags' defaults."""
    for name, value in pairwise([*arguments, ""]):
        given = value if name == "--preset" else name.removeprefix("--preset=")
        if given in get_args(Preset):
            return given
    return "quick"


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the `coplayer` command. Returns the exit status: 0, or 2 after a one-line error."""
    arguments = sys.argv[1:] if arguments is None else arguments
    runtime.configure()
    console = Console()
    app = make_app(preset_in(arguments), console)
    try:
        app.cli(
            prog="coplayer",
            description="Learning among self-interested agents that infer, shape and answer one another.",
            args=arguments,
        )
    except CoplayerError as error:
        print(f"coplayer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("coplayer: stopped; 'coplayer resume FOLDER' goes on from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
