"""Makes agents that come with the package of one seed of a finished run.

    python tools/pretrain.py runs/demo ppi-mixed --seed 0

Writes config.json and agents.safetensors to src/coplayer/experiments/data/pretrained/NAME. The card beside them,
card.md, is written by hand, from the run's summary.md.
"""

import argparse
import json
from pathlib import Path

from safetensors.numpy import save

from coplayer.errors import require
from coplayer.experiments import mixed_pool, registry
from coplayer.experiments.pretrained import AGENTS, CONFIG
from coplayer.runs import checkpoint
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder

HOME = Path("src/coplayer/experiments/data/pretrained")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("name")
    parser.add_argument("--seed", type=int)
    options = parser.parse_args()
    folder = RunFolder.open(options.run)
    experiment, settings = registry.settings_of_folder(folder)
    registry.require_finished(folder, settings)
    run = settings.run
    seed = run.seed if options.seed is None else options.seed
    mixed_pool.check_seed(run, seed)
    config = folder.config()
    config["settings"]["run"] |= {"seed": seed, "seeds": 1}
    _, arrays = checkpoint.load(folder.agents_file(run.phases))
    if run.seeds > 1:
        require(experiment.JOINABLE, f"run: {options.run} has the seeds of {experiment.NAME} together; train one alone")
        arrays = {name: array[:, seed - run.seed : seed - run.seed + 1].copy() for name, array in arrays.items()}
    write_atomically(HOME / options.name / CONFIG, (json.dumps(config, indent=1) + "\n").encode())
    write_atomically(HOME / options.name / AGENTS, save(arrays, {"phase": str(run.phases)}))


if __name__ == "__main__":
    main()
