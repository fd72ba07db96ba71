"""Run folders as training and evaluation write them, of every recipe, with made-up numbers: nothing is trained."""

import json
from pathlib import Path

import numpy as np

from coplayer.analysis.evaluation import LEARNER, TABULAR, named_opponents
from coplayer.experiments import registry
from coplayer.games.matrix import MatrixGame
from coplayer.runs.files import jsonable
from coplayer.runs.folder import RunFolder, append_rows, provenance
from coplayer.settings import adjust

LEARNERS = 2


def run(path, recipe="a2c-mixed", *, phases=4, done=None, per_phase=2, evaluated=(), more=None, **changes):
    """A run of two learners a seed. `done`: its phases so far, by default all. `evaluated`: phases whose agents played.
    `more`: metrics beside the usual ones, by name.
    """
    settings = registry.preset(recipe)
    sizes = {"phases": phases, "seeds": 3} | changes
    if hasattr(settings.run, "iterations"):
        sizes |= {"iterations": 10 * phases * per_phase, "log_every": 10}
    settings = adjust(settings, **sizes)
    experiment = registry.experiment_of(settings)
    folder = RunFolder.create(
        path, registry.description(experiment, settings, Path(path), "quick", recipe) | provenance()
    )
    done = phases if done is None else done
    append_rows(folder.metrics_file, rows(settings, experiment.panel(settings).x, done, per_phase, more or {}))
    steps = [(phase, step) for phase in range(1, done + 1) for step in range(per_phase)]
    timing = [{"step": i + 1, "seconds": 1.5, "phase": phase} for i, (phase, _) in enumerate(steps)]
    append_rows(folder.timing_file, timing)
    for phase in range(1, done + 1):
        folder.agents_file(phase).write_bytes(b"")
    if evaluated:
        stored = {"phases": {phase: played(settings, phase) for phase in evaluated}}
        (folder.path / "evaluation.json").write_text(json.dumps(stored))
    return folder


def rows(settings, x, done, per_phase, more):
    """`reward_vs_learner` is 100 phase + 10 seed + learner; other metrics are a thousandth of it."""
    found = []
    for at in range(done * per_phase):
        phase = at // per_phase + 1
        for seed in range(settings.run.seed, settings.run.seed + settings.run.seeds):
            for learner in range(LEARNERS):
                value = 100.0 * phase + 10 * seed + learner
                row = {"phase": phase, "seed": seed, "learner": learner, "loss_value": -value, **more}
                row |= {"iteration": 10 * (at + 1)} if x == "iteration" else {"update": at % per_phase}
                row |= {"reward_vs_learner": value, "reward_vs_naive": value, "reward_of_naive": value}
                row |= {f"{name}_vs_learner": value / 1000 for name in settings.game.measures}
                found.append(row)
    return found


def played(settings, phase):
    """An evaluation: everything is a hundredth of phase, seed and round, and every agent a tit-for-tat."""
    game, seeds = settings.game, settings.run.seeds
    names = [LEARNER, TABULAR, *named_opponents(game)] if isinstance(game, MatrixGame) else [LEARNER]
    value = phase + np.arange(seeds)[:, None, None] + np.zeros((seeds, LEARNERS, game.rounds))
    curves = (value + np.arange(game.rounds)) / 100
    fields = {f"{whose}{name}": curves for whose in ("", "other_") for name in ("reward", *game.measures)}
    if isinstance(game, MatrixGame):
        rates = np.tile(np.array([1, 0, np.nan, 0.5]), (seeds, LEARNERS, 1))
        single = np.ones((seeds, LEARNERS))
        fields |= {"first_move": single, "early": rates, "late": rates}
        fields |= {"after_defection": 0 * single, "after_cooperation": np.nan * single}
    return {name: {field: jsonable(values, 4) for field, values in fields.items()} for name in sorted(names)}
