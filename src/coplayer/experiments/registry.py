"""All experiments by name, and what a run folder needs of them."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from coplayer import settings as setting_groups
from coplayer.errors import CoplayerError, require, require_kind
from coplayer.experiments import a2c_mixed, cleanup, coala_ipd, coin, exact_ipd, ppi_mixed, stored
from coplayer.experiments.mixed_pool import Source
from coplayer.experiments.protocol import Experiment, Recipe
from coplayer.experiments.settings import RunSettings
from coplayer.experiments.stored import built_on
from coplayer.games import files, names
from coplayer.games.game import Game, check_game, require_game
from coplayer.play.player import Player
from coplayer.runs import checkpoint, hosts, training
from coplayer.runs.folder import RunFolder, provenance
from coplayer.runs.training import Reporter, Silence

EXPERIMENTS: dict[str, Experiment] = {}
"""All experiments, by the name in config.json."""
RECIPES: dict[str, Recipe] = {}
"""All recipes, by the command of `coplayer train`."""
TAKEN = (
    *("out", "preset", "game", "game_file", "compilation_cache", "log"),
    *("distributed", "coordinator", "processes", "process"),
    *("grid", "seeds_per_job", "engine", "cores", "gpus", "memory", "jobs", "restarts", "address"),
    *("partition", "minutes", "sbatch"),
)
"""Flags of every training command, which no setting may be named like."""


def register(experiment: Any) -> None:
    """Make an experiment known: to `train`, to run folders, and to the command line.

    Raises `CoplayerError` where it lacks what an experiment must have (see `experiments.protocol`). So it does where
    another experiment has its name, one of its commands, or its kind of settings.
    """
    name = getattr(experiment, "NAME", None) or getattr(experiment, "__name__", type(experiment).__name__)
    lacking = [member for member in _members(Experiment) if not hasattr(experiment, member)]
    require(not lacking, f"experiment: {name} lacks {', '.join(lacking)} (see coplayer.experiments.protocol)")
    require(isinstance(experiment, Experiment), f"experiment: {name} does not meet coplayer.experiments.protocol")
    require(name not in EXPERIMENTS, f"experiment: the name {name} is taken")
    recipes = experiment.RECIPES
    require(
        isinstance(recipes, Mapping) and next(iter(recipes), None) == name,
        f"experiment: the first of RECIPES must be {name}, the experiment's own name",
    )
    _check_recipes(name, recipes)
    own = settings_type(experiment)
    for other in EXPERIMENTS.values():
        require(settings_type(other) is not own, f"experiment: {other.NAME} has the settings {own.__name__} already")
    EXPERIMENTS[name] = experiment
    RECIPES.update(recipes)


def register_recipes(recipes: Mapping[str, Recipe]) -> None:
    """Make more commands of `coplayer train` known: presets of experiments that are known already.

    Raises `CoplayerError` where a command is taken, a preset is missing, or settings belong to no experiment.
    """
    for command, recipe in recipes.items():
        _check_recipes(experiment_of(next(iter(recipe.presets.values()))).NAME, {command: recipe})
    RECIPES.update(recipes)


def _check_recipes(name: str, recipes: Mapping[str, Recipe]) -> None:
    """Refuse recipes of the experiment `name` whose commands are taken, or whose presets are not settings."""
    for command, recipe in recipes.items():
        require(
            isinstance(recipe, Recipe) and isinstance(recipe.presets, Mapping),
            f"experiment: the recipe {command} of {name} must be a coplayer.Recipe whose presets are a dict",
        )
        require(command not in RECIPES, f"experiment: the command {command} of {name} is taken")
        for preset in ("quick", "paper"):
            require(preset in recipe.presets, f"experiment: the recipe {command} of {name} has no preset {preset}")
            _check_form(name, recipe.presets[preset])


def _members(protocol: type) -> list[str]:
    """What a protocol asks for, by name."""
    functions = [name for name, member in vars(protocol).items() if callable(member) and not name.startswith("_")]
    return [*protocol.__annotations__, *functions]


def _check_form(name: str, settings: Any) -> None:
    """Refuse settings that are no frozen dataclass of groups, or whose names are not their own."""

    def frozen(value: Any) -> bool:
        return dataclasses.is_dataclass(value) and type(value).__dataclass_params__.frozen

    kind = type(settings).__name__
    require(frozen(settings), f"experiment: the settings {kind} of {name} must be a frozen dataclass")
    absent = dataclasses.MISSING
    needed = [f.name for f in dataclasses.fields(settings) if f.default is absent and f.default_factory is absent]
    require(not needed, f"experiment: the settings {kind} of {name} must have a default for every field")
    for field in ("game", "run"):
        require(hasattr(settings, field), f"experiment: the settings {kind} of {name} lack the field {field}")
    require_game(settings.game)
    require_kind(f"experiment: run in {kind} of {name}", settings.run, RunSettings)
    for group, value in setting_groups.groups_of(settings).items():
        require(frozen(value), f"experiment: {group} in {kind} of {name} must be a group, a frozen dataclass")
    singles = [field.name for _, field, _ in setting_groups.each(settings)]
    for single in singles:
        require(single not in TAKEN, f"experiment: {name} has a setting {single}, which every command has a flag for")
        require(singles.count(single) == 1, f"experiment: {name} has two settings of the name {single}")


def preset(command: str, which: str = "quick") -> Any:
    """The settings of `coplayer train command --preset which`, to be changed by `settings.adjust`."""
    known = isinstance(command, str) and command in RECIPES
    require(known, f"preset: {command!r} is not one of {', '.join(RECIPES)}")
    presets = RECIPES[command].presets
    require(which in presets, f"preset: {command} has {', '.join(presets)}, got {which!r}")
    return presets[which]


def recipe_of(config: Mapping[str, Any], settings: Any) -> tuple[str, str]:
    """The command and the preset that the settings of a run were made from, as its config.json tells. That file lacks
    them where a Python program gave the settings, and in folders of version 0.2 and earlier. Then the settings
    themselves tell (see `likely_recipe`).
    """
    recipe, which = (value if isinstance(value, str) else "" for value in (config.get("recipe"), config.get("preset")))
    named = recipe in RECIPES and which in RECIPES[recipe].presets
    if named and isinstance(settings, type(RECIPES[recipe].presets[which])):
        return recipe, which
    return likely_recipe(settings, which)


def likely_recipe(settings: Any, which: str) -> tuple[str, str]:
    """The command and the preset that settings were most likely made from. Commands of the same kind of game come
    first. Of these the chosen command has the fewest differences in settings that tell commands apart. Differences in
    settings that are no numbers count first, then all. Of several it is the one from which the fewest settings differ.
    `which`: the preset, where all commands of the experiment have one of that name.
    """
    flat = setting_groups.flat(settings)
    recipes = {name: each.presets for name, each in RECIPES.items() if type(each.presets["quick"]) is type(settings)}
    starts = {(name, p): setting_groups.flat(start) for name, each in recipes.items() for p, start in each.items()}
    presets = set.intersection(*(set(each) for each in recipes.values()))

    def tells(name: str, preset: str) -> bool:
        values = [start[name] for (_, own), start in starts.items() if own == preset]
        return any(value != values[0] for value in values)

    telling = {name for name in flat if all(tells(name, preset) for preset in presets)}

    def alike(one: Any, other: Any) -> bool:
        """Equal, or both a folder, or both of one kind of game."""
        return one == other or (isinstance(one, Path | Game) and type(one) is type(other))

    def strangeness(found: tuple[str, str]) -> tuple:
        unlike = [name for name, value in flat.items() if not alike(starts[found][name], value)]
        told = [name for name in unlike if name in telling]
        words = [name for name in told if not isinstance(flat[name], int | float) or name.endswith("_share")]
        return setting_groups.GAME in told, len(words), len(told), len(unlike)

    return min((found for found in starts if found[1] == which or which not in presets), key=strangeness)


def settings_type(experiment: Experiment) -> type:
    """The class of an experiment's settings."""
    return type(next(iter(experiment.RECIPES.values())).presets["quick"])


def experiment_of(settings: Any) -> Experiment:
    """The experiment that settings are of."""
    for experiment in EXPERIMENTS.values():
        if type(settings) is settings_type(experiment):
            return experiment
    raise CoplayerError(f"settings: {type(settings).__name__} belongs to no experiment")


def settings_of_folder(folder: RunFolder) -> tuple[Experiment, Any]:
    """The experiment and the settings of a run folder. Settings that the folder does not have, since they are newer
    than the run, have their defaults.

    Raises `CoplayerError` where the folder was made by a version whose settings had another form.
    """
    config, file = folder.config(), folder.config_file
    require(
        "format" in config,
        f"{file}: this run was made by an earlier version of coplayer (0.1), whose settings had another form; it "
        "cannot be read any more",
    )
    require(
        config["format"] == stored.FORMAT,
        f"{file}: has format {config['format']!r}, and this version of coplayer reads format {stored.FORMAT}",
    )
    name = config.get("experiment")
    known = isinstance(name, str) and name in EXPERIMENTS
    require(known, f"{file}: experiment {name!r} is not one of {', '.join(EXPERIMENTS)}")
    experiment = EXPERIMENTS[name]
    try:
        settings = stored.read(config["settings"], settings_type(experiment)(), folder.path)
    except CoplayerError as error:
        raise CoplayerError(f"{file}: {error}") from error
    trained, now = config.get("game_file"), files.fingerprint(settings.game)
    require(
        None in (trained, now) or trained == now,
        f"{file}: game: {type(settings.game).__name__} and its file are not those that the run was trained on",
    )
    return experiment, settings


def know_game(text: str, paths: Sequence[Path]) -> None:
    """Make the game of `path/to/file.py:ClassName` known, so that these runs of it can be read, whatever its name was
    when they were trained. The file is run.
    """
    name, game = files.load(text)
    names.register(name, game)
    for path in paths:
        description = RunFolder.open(path).config()["settings"].get(setting_groups.GAME)
        trained = description.get("name") if isinstance(description, dict) else None
        if isinstance(trained, str) and trained not in names.GAMES:
            names.register(trained, game)


def is_finished(folder: RunFolder, settings: Any) -> bool:
    """Whether the run of these settings in `folder` has come to its end."""
    return settings.run.phases in folder.phases()


def require_finished(folder: RunFolder, settings: Any) -> None:
    """Refuse a run of these settings that has not come to its end."""
    path = folder.path
    require(is_finished(folder, settings), f"{path}: not finished; go on with it by 'coplayer resume {path}'")


def load(path: str | Path, *, phase: int | None = None, seed: int | None = None) -> list[Player]:
    """The agents of a finished or unfinished run, ready to play.

    `phase` defaults to the last one done, `seed` to the run's first. Raises `CoplayerError` where there is none.
    """
    folder = RunFolder.open(path)
    experiment, settings = settings_of_folder(folder)
    phase = phase_of(folder, phase)
    agents = checkpoint.load_agents(folder.agents_file(phase))
    return experiment.players(settings, agents, phase=phase, seed=settings.run.seed if seed is None else seed)


def phase_of(folder: RunFolder, phase: int | None) -> int:
    """The phase of a run that is meant, by default the last one done. Refuses a phase that is not done."""
    known = folder.phases()
    require(bool(known), f"{folder.path}: no phase is done yet")
    phase = known[-1] if phase is None else phase
    require(phase in known, f"phase: {folder.path} has phases {known[0]} to {known[-1]}, got {phase}")
    return phase


def source(name: str, settings: Any) -> Source:
    """The finished run that the setting `name` names."""
    path = built_on(settings)[name]
    try:
        folder = RunFolder.open(path)
        other, found = settings_of_folder(folder)
    except CoplayerError as error:
        raise CoplayerError(f"{name}: {error}") from error
    lenders = " or ".join(experiment.NAME for experiment in EXPERIMENTS.values() if experiment.LENDS_AGENTS)
    require(other.LENDS_AGENTS, f"{name}: {path} is a run of {other.NAME}; needs one of {lenders}")
    own = experiment_of(settings)
    require(name != "start" or other is own, f"start: {path} is not a run of {own.NAME}")
    require(is_finished(folder, found), f"{name}: {path} is not finished; go on with it by 'coplayer resume {path}'")
    have, need = found.run, settings.run
    require(
        have.seed <= need.seed and need.seed + need.seeds <= have.seed + have.seeds,
        f"{name}: {path} has seeds {have.seed} to {have.seed + have.seeds - 1}, these settings need "
        f"{need.seed} to {need.seed + need.seeds - 1}",
    )
    theirs, ours = (setting_groups.flat(each).get("learners") for each in (found, settings))
    require(theirs == ours, f"{name}: {path} has {theirs} learners, these settings {ours}")
    require(same_rules(found.game, settings.game), f"{name}: {path} is of another game, {found.game}")
    return Source(folder, found)


def same_rules(one: Game, other: Game) -> bool:
    """Whether two games differ in the number of rounds at most."""

    def rules(game: Game) -> dict[str, Any]:
        return {name: value for name, value in dataclasses.asdict(game).items() if name != "rounds"}

    return type(one) is type(other) and rules(one) == rules(other)


def frozen_players(settings: Any, seed: int) -> list[Player]:
    """Whom each learner of one seed meets in a run with `frozen`: the last agent of the next seat."""
    first, *others = load(source("frozen", settings).folder.path, seed=seed)
    for player in (first, *others):
        player.check(settings.game)
    return [*others, first]


def trainer_of(settings: Any) -> training.Training:
    """The training of some settings, given what it takes from the runs that they name."""
    experiment, given, named = experiment_of(settings), {}, built_on(settings)
    if "frozen" in named:
        seeds = range(settings.run.seed, settings.run.seed + settings.run.seeds)
        by_learner = zip(*[frozen_players(settings, seed) for seed in seeds], strict=True)
        stacked = [jax.tree.map(lambda *leaves: np.stack(leaves), *players) for players in by_learner]
        given["frozen"] = jax.tree.map(lambda *leaves: np.stack(leaves), *stacked)
    if "start" in named:
        given["start"] = source("start", settings)
    return experiment.Trainer(settings, **given)


def checked(settings: Any) -> Any:
    """The settings, each of its declared type. Raises `CoplayerError` where they cannot be trained; the memory that
    they need is not looked at.
    """
    experiment, settings = experiment_of(settings), stored.typed(settings)
    check_game(settings.game)
    experiment.check(settings)
    for name in built_on(settings):
        source(name, settings)
    return settings


def require_recipe(recipe: str | None, settings: Any) -> None:
    """Refuse the name of a recipe that is none, or one of another experiment than the settings."""
    if recipe is not None:
        own = experiment_of(settings)
        fitting = [name for name, each in RECIPES.items() if experiment_of(each.presets["quick"]) is own]
        require(recipe in fitting, f"recipe: must be one of {', '.join(fitting)}, got {recipe!r}")


def train(
    settings: Any,
    out: str | Path,
    *,
    recipe: str | None = None,
    preset: str = "custom",
    reporter: Reporter | None = None,
) -> RunFolder:
    """Train an experiment from its settings into a new folder `out`. Returns the folder; `load(out)` gives the players.

    `recipe` and `preset`: the command of `coplayer train` and the preset that the settings were made from, which
    config.json then names; None: of no recipe. `reporter` is shown the progress (see `runs.display.Display` and
    `runs.tracking.Tracked`); None: silence. Raises `CoplayerError` with the setting's name where the settings cannot be
    trained.

    After `jax.distributed.initialize()` all processes call this with the same settings. They train one run together, on
    the devices of all. Process 0 writes the folder, and its `reporter` is the one that is shown the progress.
    """
    require(isinstance(out, str | os.PathLike), f"out: must be the path of a folder, got {out!r}")
    with hosts.together():
        experiment, settings = experiment_of(settings), stored.typed(settings)
        require_recipe(recipe, settings)
        check_game(settings.game)
        trainer, folder = trainer_of(settings), RunFolder(out)
    with hosts.together():
        if hosts.is_first():
            described = description(experiment, settings, Path(out), preset, recipe)
            RunFolder.create(out, described | provenance())
    training.train(trainer, folder, reporter or Silence(), checkpoint_seconds=settings.run.checkpoint_seconds)
    return folder


def description(
    experiment: Experiment, settings: Any, out: Path, preset: str, recipe: str | None = None
) -> dict[str, Any]:
    """What config.json in `out` tells of a run, beside how it was made (see `train`)."""
    return {
        "format": stored.FORMAT,
        "experiment": experiment.NAME,
        "recipe": recipe,
        "preset": preset,
        "settings": stored.described(settings, out),
        "game_file": files.fingerprint(settings.game),
    }


def resume(path: str | Path, *, reporter: Reporter | None = None) -> RunFolder:
    """Go on with a run that was stopped; does nothing to one that is finished, nor to an archive. Several processes may
    go on with a run of one process, and the other way round (see `train`); all must be able to read `path`.
    """
    with hosts.together():
        folder = RunFolder.open(path)
        _, settings = settings_of_folder(folder)
        if folder.archived:
            return folder
        trainer = trainer_of(settings)
    training.train(trainer, folder, reporter or Silence(), checkpoint_seconds=settings.run.checkpoint_seconds)
    return folder


def go_on(
    settings: Any,
    path: Path,
    *,
    recipe: str | None = None,
    preset: str = "custom",
    reporter: Reporter | None = None,
) -> RunFolder:
    """The finished run of these settings in `path`: trained anew, or gone on with. Refuses a run of other settings."""
    if not (path / "config.json").exists():
        return train(settings, path, recipe=recipe, preset=preset, reporter=reporter)
    require_settings(settings, path)
    return resume(path, reporter=reporter)


def require_settings(settings: Any, path: Path) -> None:
    """Refuse a run folder whose settings are others."""
    _, found = settings_of_folder(RunFolder.open(path))
    require(found == settings, f"out: {path} holds a run with other settings; name another folder by --out")


for _experiment in (ppi_mixed, a2c_mixed, exact_ipd, coala_ipd):
    register(_experiment)
for _recipes in (cleanup.RECIPES, coin.RECIPES):
    register_recipes(_recipes)
