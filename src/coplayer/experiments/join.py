"""Finished runs of the same settings and of different seeds, put together to one: for seeds trained apart."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from coplayer.errors import require
from coplayer.experiments import exact_ipd, registry
from coplayer.runs import checkpoint
from coplayer.runs.checkpoint import Checkpoint
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder, append_rows, provenance

SEED_AXIS = 1  # of all arrays: [learner, seed, ...]
MAY_DIFFER = {"seed", "seeds", "seed_batch", "checkpoint_seconds"}


def join(paths: list[Path], out: Path) -> RunFolder:
    """Put finished runs together in the new folder `out`: metrics, agents and last state are those of one run of all
    their seeds. To the bit where all were made on one machine, with a device for each learner and the seeds one at a
    time, as on a CPU; otherwise up to float32's rounding, which training carries on. Their seeds must follow one
    another. config.json tells what each was made with as `joined`; timing.jsonl has the sum of their seconds.

    Raises `CoplayerError` where the runs do not belong together.
    """
    require(len(paths) > 1, "join: needs two runs or more")
    folders = [RunFolder.open(path) for path in paths]
    opened = sorted(((*registry.config_of(folder), folder) for folder in folders), key=lambda run: run[1].seed)
    configs, folders = [config for _, config, _ in opened], [folder for *_, folder in opened]
    module, config = opened[0][0], _joint_config(opened)
    stored = [folder.config() for folder in folders]
    described = {
        "experiment": module.NAME,
        "preset": stored[0]["preset"],
        "settings": registry.settings_of(config, out),
    }
    made = [{key: run[key] for key in run if key not in described} for run in stored]
    seeds = [list(range(config.seed, config.seed + config.seeds)) for config in configs]
    parts = [{"seeds": its} | how for its, how in zip(seeds, made, strict=True)]
    saved = [checkpoint.last(folder.checkpoints) for folder in folders]
    state = _joint_state(module, config, configs, saved)
    rows = _interleaved([_metrics(*run) for run in zip(folders, saved, strict=True)])
    agents = {phase: _joint_agents([folder.agents_file(phase) for folder in folders]) for phase in folders[0].phases()}

    joint = RunFolder.create(out, described | provenance() | {"joined": parts})
    append_rows(joint.metrics_file, rows)
    append_rows(joint.timing_file, _timing([row for folder in folders for row in folder.timing()]))
    for phase, data in agents.items():
        write_atomically(joint.agents_file(phase), data)
    checkpoint.write(joint.checkpoints, saved[0].step, len(rows), state)
    return joint


def _joint_config(opened: list[tuple[Any, Any, RunFolder]]) -> Any:
    """The settings of runs in order of their seeds, with the seeds of all; refuses what does not belong together."""
    module, first, folder = opened[0]
    require(module is not exact_ipd, f"{folder.path}: exact runs train all their seeds side by side; name more --seeds")
    seed = first.seed
    for other, config, at in opened:
        require(other is module, f"{at.path}: is of {other.NAME}, {folder.path} of {module.NAME}")
        names = {field.name for field in dataclasses.fields(config)} - MAY_DIFFER
        different = sorted(name for name in names if getattr(config, name) != getattr(first, name))
        require(not different, f"{', '.join(different)}: differs between {folder.path} and {at.path}")
        require(config.seed == seed, f"seed: {seed} must come next, and {at.path} begins at {config.seed}")
        require(
            registry.is_finished(at, config), f"{at.path}: not finished; go on with it by 'coplayer resume {at.path}'"
        )
        seed += config.seeds
    return dataclasses.replace(first, seeds=seed - first.seed)


def _joint_state(module: Any, config: Any, configs: list[Any], saved: list[Checkpoint]) -> dict[str, np.ndarray]:
    """The arrays of the last checkpoint, from those of all runs."""
    states = [registry.trainer_of(module, one).unpack(last.arrays) for one, last in zip(configs, saved, strict=True)]

    def together(*leaves):
        if isinstance(leaves[0], int):
            return leaves[0]
        return jnp.concatenate([jax.device_put(leaf, jax.local_devices()[0]) for leaf in leaves], SEED_AXIS)

    return registry.trainer_of(module, config).pack(jax.tree.map(together, *states))


def _joint_agents(files: list[Path]) -> bytes:
    """The bytes of an agents file with the seeds of all these."""
    loaded = [checkpoint.load(file) for file in files]
    together = {name: np.concatenate([agents[name] for _, agents in loaded], SEED_AXIS) for name in loaded[0][1]}
    return checkpoint.dump(together, loaded[0][0])


def _metrics(folder: RunFolder, saved: Checkpoint) -> list[dict]:
    """All rows of a finished run."""
    rows = folder.metrics()
    require(len(rows) == saved.rows, f"{folder.metrics_file}: has {len(rows)} of the run's {saved.rows} rows")
    return rows


def _interleaved(runs: list[list[dict]]) -> list[dict]:
    """Rows of all runs as one run writes them: whatever is measured at a time, of all seeds and learners."""
    sizes = [len({(row["seed"], row["learner"]) for row in rows}) for rows in runs]
    together = []
    for at in range(len(runs[0]) // sizes[0]):
        for rows, size in zip(runs, sizes, strict=True):
            together += rows[at * size : (at + 1) * size]
    return together


def _timing(rows: list[dict]) -> list[dict]:
    """The seconds of each chunk in all runs together."""
    return [
        {"step": step, "seconds": sum(row["seconds"] for row in rows if row["step"] == step)}
        for step in sorted({row["step"] for row in rows})
    ]
