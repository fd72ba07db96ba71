"""All experiments by name, and what a run folder needs of them."""

import dataclasses
from pathlib import Path
from typing import Any

from coplayer.errors import CoplayerError, require
from coplayer.experiments import a2c_mixed, coala_ipd, exact_ipd, ppi_mixed
from coplayer.players.match import Player
from coplayer.runs import checkpoint, training
from coplayer.runs.folder import RunFolder, provenance
from coplayer.runs.training import Reporter, Silence

EXPERIMENTS = {module.NAME: module for module in (ppi_mixed, a2c_mixed, exact_ipd, coala_ipd)}


def config_of(folder: RunFolder) -> tuple[Any, Any]:
    """(experiment module, config) of a run folder."""
    stored = folder.config()
    name = stored.get("experiment")
    require(name in EXPERIMENTS, f"{folder.config_file}: experiment {name!r} is not one of {', '.join(EXPERIMENTS)}")
    module = EXPERIMENTS[name]
    default = module.PRESETS["quick"]
    known = {field.name for field in dataclasses.fields(default)}
    unknown = set(stored["settings"]) - known
    require(not unknown, f"{folder.config_file}: unknown setting {', '.join(sorted(unknown))}")
    settings = {name: _tuples(value) for name, value in stored["settings"].items()}
    return module, dataclasses.replace(default, **settings)


def _tuples(value: Any) -> Any:
    """JSON lists back to the tuples they were."""
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


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


def train(config: Any, out: str | Path, *, preset: str = "custom", reporter: Reporter | None = None) -> RunFolder:
    """Train an experiment from its config into a new folder `out`. Returns the folder; `load(out)` gives the players.

    `reporter` is shown the progress (see `runs.display.Display`); None: silence.
    """
    module = _module_of(config)
    trainer = module.Trainer(config)
    described = {"experiment": module.NAME, "preset": preset, "settings": dataclasses.asdict(config)} | provenance()
    folder = RunFolder.create(out, described)
    training.train(trainer, folder, reporter or Silence(), checkpoint_seconds=config.checkpoint_seconds)
    return folder


def resume(path: str | Path, *, reporter: Reporter | None = None) -> RunFolder:
    """Go on with a run that was stopped; does nothing to one that is finished."""
    folder = RunFolder.open(path)
    module, config = config_of(folder)
    trainer = module.Trainer(config)
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
