"""Finished runs of the same settings and of different seeds, put together to one: for seeds trained apart."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coplayer import settings as setting_groups
from coplayer.errors import require
from coplayer.experiments import registry
from coplayer.experiments.archive import write_archive
from coplayer.experiments.protocol import Experiment
from coplayer.runs import checkpoint
from coplayer.runs.checkpoint import Checkpoint
from coplayer.runs.files import whole_folder, write_atomically
from coplayer.runs.folder import RunFolder, append_rows, provenance

SEED_AXIS = 1  # of all arrays: [learner, seed, ...]
MAY_DIFFER = {"seed", "seeds", "seed_batch", "checkpoint_seconds"}
MADE_ANEW = {"format", "experiment", "recipe", "preset", "settings"}  # of config.json


def join(paths: list[Path], out: Path) -> RunFolder:
    """Put finished runs together in the new folder `out`: metrics, agents and last state are those of one run of all
    their seeds. The seeds must follow one another. config.json tells under `joined` how each run was made; timing.jsonl
    has the sum of their seconds. Where a run is an archive, so is `out`: with the metrics and agents that all have.

    The numbers are equal to the bit where one machine made all runs, with a device for each learner and one seed at a
    time. On a CPU seeds are trained one at a time. Otherwise they are equal up to the rounding of float32, which
    training carries on.

    Raises `CoplayerError` where the runs do not belong together.
    """
    require(len(paths) > 1, "join: needs two runs or more")
    folders = [RunFolder.open(path) for path in paths]
    opened = sorted(((*registry.settings_of_folder(folder), folder) for folder in folders), key=_first_seed)
    parts, folders = [settings for _, settings, _ in opened], [folder for *_, folder in opened]
    experiment, settings = opened[0][0], _joint_settings(opened)
    configs = [folder.config() for folder in folders]
    origin = configs[0]["preset"], configs[0].get("recipe")
    description = registry.description(experiment, settings, out, *origin)
    made = [{key: config[key] for key in config if key not in MADE_ANEW} for config in configs]
    seeds = [list(range(part.run.seed, part.run.seed + part.run.seeds)) for part in parts]
    joined = [{"seeds": its} | how for its, how in zip(seeds, made, strict=True)]
    description |= provenance() | {"joined": joined}
    if any(folder.archived for folder in folders):
        phases = [phase for phase in folders[0].phases() if all(phase in folder.phases() for folder in folders)]
        rows = _interleaved([folder.metrics() for folder in folders], folders)
        return write_archive(out, description, _joint_agents(folders, phases), rows)

    saved = [checkpoint.last(folder.checkpoints) for folder in folders]
    state = _joint_state(settings, parts, saved)
    rows = _interleaved([_metrics(*run) for run in zip(folders, saved, strict=True)], folders)
    agents = _joint_agents(folders, folders[0].phases())
    with whole_folder(out) as made_in:
        joint = RunFolder.create(made_in, description)
        append_rows(joint.metrics_file, rows)
        append_rows(joint.timing_file, _timing([row for folder in folders for row in folder.timing()]))
        for phase, data in agents.items():
            write_atomically(joint.agents_file(phase), data)
        checkpoint.write(joint.checkpoints, saved[0].step, len(rows), state)
    return RunFolder.open(out)


def _first_seed(opened: tuple[Experiment, Any, RunFolder]) -> int:
    return opened[1].run.seed


def _joint_settings(opened: list[tuple[Experiment, Any, RunFolder]]) -> Any:
    """The settings of runs in order of their seeds, with the seeds of all. Refuses what does not belong together."""
    experiment, first, folder = opened[0]
    require(
        experiment.JOINABLE,
        f"{folder.path}: runs of {experiment.NAME} cannot be joined, for each trains all its seeds side by side; "
        "name more --seeds",
    )
    seed, shared = first.run.seed, setting_groups.flat(first)
    for other, settings, at in opened:
        require(other is experiment, f"{at.path}: is of {other.NAME}, {folder.path} of {experiment.NAME}")
        own = setting_groups.flat(settings)
        different = sorted(name for name in own.keys() - MAY_DIFFER if own[name] != shared[name])
        require(not different, f"{', '.join(different)}: differs between {folder.path} and {at.path}")
        require(settings.run.seed == seed, f"seed: {seed} must come next, and {at.path} begins at {settings.run.seed}")
        registry.require_finished(at, settings)
        seed += settings.run.seeds
    return setting_groups.adjust(first, seeds=seed - first.run.seed)


def _joint_state(settings: Any, parts: list[Any], saved: list[Checkpoint]) -> dict[str, np.ndarray]:
    """The arrays of the last checkpoint, from those of all runs."""
    states = [registry.trainer_of(one).unpack(last.arrays) for one, last in zip(parts, saved, strict=True)]

    def together(*leaves):
        if isinstance(leaves[0], int):
            return leaves[0]
        return jnp.concatenate([jax.device_put(leaf, jax.local_devices()[0]) for leaf in leaves], SEED_AXIS)

    return registry.trainer_of(settings).pack(jax.tree.map(together, *states))


def _joint_agents(folders: list[RunFolder], phases: list[int]) -> dict[int, bytes]:
    """By phase, the bytes of an agents file with the seeds of all runs."""
    return {phase: _joint_file([folder.agents_file(phase) for folder in folders]) for phase in phases}


def _joint_file(files: list[Path]) -> bytes:
    loaded = [checkpoint.load(file) for file in files]
    forms = [{name: _without_seeds(array) for name, array in agents.items()} for _, agents in loaded]
    for file, form in zip(files, forms, strict=True):
        require(form == forms[0], f"{file}: its agents have other arrays than those in {files[0]}")
    together = {name: np.concatenate([agents[name] for _, agents in loaded], SEED_AXIS) for name in loaded[0][1]}
    return checkpoint.dump(together, loaded[0][0])


def _without_seeds(array: np.ndarray) -> tuple[tuple[int, ...], str]:
    """The shape of an array of agents but for the number of seeds, and its dtype."""
    return array.shape[:SEED_AXIS] + array.shape[SEED_AXIS + 1 :], str(array.dtype)


def _metrics(folder: RunFolder, saved: Checkpoint) -> list[dict]:
    """All rows of a finished run."""
    rows = folder.metrics()
    whole = len(rows) == saved.rows > 0
    require(whole, f"{folder.metrics_file}: has {len(rows)} of the run's {saved.rows} rows")
    return rows


def _interleaved(runs: list[list[dict]], folders: list[RunFolder]) -> list[dict]:
    """Rows of all runs as one run writes them: whatever is measured at a time, of all seeds and learners."""
    sizes = [len({(row["seed"], row["learner"]) for row in rows}) for rows in runs]
    for folder, rows, size in zip(folders, runs, sizes, strict=True):
        whole = bool(rows) and len(rows) * sizes[0] == len(runs[0]) * size
        require(
            whole,
            f"{folder.path}: has {len(rows)} rows of metrics, for {size} learners and seeds; {folders[0].path} "
            f"has {len(runs[0])} for {sizes[0]}",
        )
    together = []
    for at in range(len(runs[0]) // sizes[0]):
        for rows, size in zip(runs, sizes, strict=True):
            together += rows[at * size : (at + 1) * size]
    return together


def _timing(rows: list[dict]) -> list[dict]:
    """The seconds of each chunk in all runs together."""
    seconds: dict[int, float] = {}
    for row in rows:
        seconds[row["step"]] = seconds.get(row["step"], 0) + row["seconds"]
    return [{"step": step, "seconds": seconds[step]} for step in sorted(seconds)]
