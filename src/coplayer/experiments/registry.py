"""All experiments by name, and what a run folder needs of them."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import jax
import numpy as np

from coplayer.errors import CoplayerError, require
from coplayer.experiments import a2c_mixed, coala_ipd, exact_ipd, ppi_mixed
from coplayer.experiments.mixed_pool import Source
from coplayer.experiments.recipes import Recipe
from coplayer.players.match import Player
from coplayer.runs import checkpoint, training
from coplayer.runs.folder import RunFolder, provenance
from coplayer.runs.training import Reporter, Silence

EXPERIMENTS = {module.NAME: module for module in (ppi_mixed, a2c_mixed, exact_ipd, coala_ipd)}
STARTING_POINTS = (ppi_mixed, a2c_mixed)  # of whose runs others may take the agents
RECIPES: dict[str, Recipe] = {
    name: recipe for module in EXPERIMENTS.values() for name, recipe in module.RECIPES.items()
}


def built_on(config: Any) -> dict[str, Path]:
    """The folders of other runs that a config names, by the setting. config.json has them from its own folder on."""
    named = {name: getattr(config, name) for name in _folder_settings(config)}
    return {name: Path(value) for name, value in named.items() if value is not None}


def _folder_settings(config: Any) -> list[str]:
    """The settings that name folders of other runs."""
    return [field.name for field in dataclasses.fields(config) if field.type == Path | None]


def config_of(folder: RunFolder) -> tuple[Any, Any]:
    """(experiment module, config) of a run folder. Settings that it does not have, since they are newer than the run,
    have their defaults: those leave things as they were before.
    """
    stored = folder.config()
    name = stored.get("experiment")
    require(name in EXPERIMENTS, f"{folder.config_file}: experiment {name!r} is not one of {', '.join(EXPERIMENTS)}")
    module = EXPERIMENTS[name]
    default = module.PRESETS["quick"]
    known = {field.name for field in dataclasses.fields(default)}
    unknown = set(stored["settings"]) - known
    require(not unknown, f"{folder.config_file}: unknown setting {', '.join(sorted(unknown))}")
    settings = {name: _tuples(value) for name, value in stored["settings"].items()}
    folders = _folder_settings(default)
    for name, value in settings.items():
        usual = type(None) | str if name in folders else type(getattr(default, name))
        fits = isinstance(value, int | float if usual is float else usual)
        mistaken = isinstance(value, bool) and usual is not bool  # which is an int
        require(fits and not mistaken, f"{folder.config_file}: setting {name} cannot be {value!r}")
        if name in folders and value is not None:
            settings[name] = Path(os.path.normpath(folder.path / value))
    return module, type(default)(**settings)


def _tuples(value: Any) -> Any:
    """JSON lists back to the tuples they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def settings_of(config: Any, out: Path) -> dict[str, Any]:
    """The settings as config.json in `out` has them: what `config_of` reads."""
    relative = {name: os.path.relpath(path, out) for name, path in built_on(config).items()}
    return dataclasses.asdict(config) | relative


def is_finished(folder: RunFolder, config: Any) -> bool:
    """Whether the run of `config` in `folder` has come to its end."""
    return config.phases in folder.phases()


def load(path: str | Path, *, phase: int | None = None, seed: int | None = None) -> list[Player]:
    """The learners of a finished or unfinished run, ready to play.

    `phase` defaults to the last one done, `seed` to the run's first. Raises `CoplayerError` where there is none.
    """
    folder = RunFolder.open(path)
    module, config = config_of(folder)
    known = folder.phases()
    if not known:
        raise CoplayerError(f"{path}: no phase is done yet")
    phase = known[-1] if phase is None else phase
    require(phase in known, f"phase: {path} has phases {known[0]} to {known[-1]}, got {phase}")
    _, agents = checkpoint.load(folder.agents_file(phase))
    return module.players(config, agents, phase=phase, seed=config.seed if seed is None else seed)


def source(name: str, module: Any, config: Any) -> Source:
    """The finished run that the setting `name` of a config of `module` names."""
    path = getattr(config, name)
    try:
        folder = RunFolder.open(path)
    except CoplayerError as error:
        raise CoplayerError(f"{name}: {error}") from error
    other, stored = config_of(folder)
    names = " or ".join(module.NAME for module in STARTING_POINTS)
    require(other in STARTING_POINTS, f"{name}: {path} is a run of {other.NAME}; needs one of {names}")
    require(is_finished(folder, stored), f"{name}: {path} is not finished; go on with it by 'coplayer resume {path}'")
    require(
        stored.seed <= config.seed and config.seed + config.seeds <= stored.seed + stored.seeds,
        f"{name}: {path} has seeds {stored.seed} to {stored.seed + stored.seeds - 1}, these settings need "
        f"{config.seed} to {config.seed + config.seeds - 1}",
    )
    require(
        stored.learners == config.learners,
        f"{name}: {path} has {stored.learners} learners, these settings {config.learners}",
    )
    require(
        other.make_game(stored).payoffs == module.make_game(config).payoffs,
        f"{name}: {path} is of another game, with payoffs {stored.payoffs}",
    )
    return Source(folder, stored)


def frozen_players(module: Any, config: Any, seed: int) -> list[Player]:
    """Whom each learner of one seed meets in a run with `frozen`: the last agent of the next seat."""
    first, *others = load(source("frozen", module, config).folder.path, seed=seed)
    return [*others, first]


def trainer_of(module: Any, config: Any) -> training.Experiment:
    """The trainer of a config, given what it takes from the runs that it names."""
    given, named = {}, built_on(config)
    if "frozen" in named:
        by_seed = [frozen_players(module, config, seed) for seed in range(config.seed, config.seed + config.seeds)]
        by_learner = zip(*by_seed, strict=True)
        stacked = [jax.tree.map(lambda *leaves: np.stack(leaves), *players) for players in by_learner]
        given["frozen"] = jax.tree.map(lambda *leaves: np.stack(leaves), *stacked)
    if "start" in named:
        given["start"] = source("start", module, config)
        require(
            isinstance(given["start"].config, type(config)),
            f"start: {config.start} is not a run of {module.NAME}",
        )
    return module.Trainer(config, **given)


def train(config: Any, out: str | Path, *, preset: str = "custom", reporter: Reporter | None = None) -> RunFolder:
    """Train an experiment from its config into a new folder `out`. Returns the folder; `load(out)` gives the players.

    `reporter` is shown the progress (see `runs.display.Display`); None: silence.
    """
    module = _module_of(config)
    trainer = trainer_of(module, config)
    described = {"experiment": module.NAME, "preset": preset, "settings": settings_of(config, Path(out))} | provenance()
    folder = RunFolder.create(out, described)
    training.train(trainer, folder, reporter or Silence(), checkpoint_seconds=config.checkpoint_seconds)
    return folder


def resume(path: str | Path, *, reporter: Reporter | None = None) -> RunFolder:
    """Go on with a run that was stopped; does nothing to one that is finished."""
    folder = RunFolder.open(path)
    module, config = config_of(folder)
    trainer = trainer_of(module, config)
    training.train(trainer, folder, reporter or Silence(), checkpoint_seconds=config.checkpoint_seconds)
    return folder


def match_episodes(module: Any, config: Any) -> int:
    """Episodes in a row that an experiment's players are evaluated in: 1, unless they remember more than one."""
    return module.match_episodes(config) if hasattr(module, "match_episodes") else 1


def _module_of(config: Any) -> Any:
    for module in EXPERIMENTS.values():
        if type(config) is type(module.PRESETS["quick"]):
            return module
    raise CoplayerError(f"config: {type(config).__name__} belongs to no experiment")
