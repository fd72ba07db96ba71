"""What the figures of sampled meta agents share: methods, ends of trainings, and what happens within a meta-trajectory,
by inner episode.
"""

from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from coplayer.experiments import coala_ipd
from coplayer.experiments.coala_ipd import LOLA_DICE, CoalaIPD
from coplayer.experiments.evaluate import EVALUATION_SEED
from coplayer.figures.panels import MOST_PANELS, Band, BandPanel, draw_row
from coplayer.learning.estimators import ESTIMATORS
from coplayer.reproduce.exact_figures import REWARD
from coplayer.reproduce.studies import SPREAD
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder

AXES = {"reward": REWARD, "cooperation": "cooperation rate"}
COALA, RIVALS = "coala", ("m_fos", "batch_unaware")
METHODS = (COALA, *RIVALS, LOLA_DICE)  # those of the published figures, not all that are registered
END = 0.1  # share of the training that "at the end" is a mean over
SIDES = {"vs_naive": "{}", "of_naive": "naive learners, {}", "vs_learner": "{}, other meta agents"}


def label_of(method: str) -> str:
    """A method's name in figures."""
    return "LOLA-DiCE" if method == LOLA_DICE else ESTIMATORS[method].label


def in_names(method: str) -> str:
    """A method's name in the names of runs."""
    return method.replace("_", "-")


def of_pool(folders: Iterable[str], pool: str) -> dict[str, str]:
    """Names of the runs in a pool, by method."""
    stems = {method: f"{pool}-{in_names(method)}-" for method in METHODS}
    return {m: name for m, stem in stems.items() for name in folders if name.startswith(stem)}


def ended(folder: RunFolder, name: str, agents: list[int] | None = None) -> np.ndarray:
    """A metric by seed, mean over these agents (None: all) and over the end of training."""
    x, values = folder.over_training(name, "iteration", learners=agents)
    return values[:, x > (1 - END) * x[-1]].mean(1)


def by_method(settings: CoalaIPD) -> dict[str, list[int]]:
    """Numbers of the agents of each method."""
    methods = settings.by_agent
    return {method: [i for i, own in enumerate(methods) if own == method] for method in dict.fromkeys(methods)}


def within(folder: RunFolder, settings: CoalaIPD) -> dict[str, dict[str, Float[np.ndarray, "seeds episodes"]]]:
    """Means by inner episode with the last agents, by method and metric."""
    agents = checkpoint.load_agents(folder.agents_file(folder.phases()[-1]))
    means = coala_ipd.within_meta_trajectory(settings, agents, jax.random.key(EVALUATION_SEED))
    return {
        method: {name: values[:, own].mean(1) for name, values in means.items()}
        for method, own in by_method(settings).items()
    }


def within_panels(title: str, runs: Iterable[tuple[RunFolder, CoalaIPD]]) -> list[BandPanel]:
    """The rewards of both sides within a meta-trajectory of some runs, and what their game measures, a panel each."""
    bands: dict[str, list[Band]] = {}
    for folder, settings in runs:
        episodes = np.arange(1, settings.shaping.inner_episodes + 1)
        for metric in ("reward", *settings.game.measures)[:MOST_PANELS]:
            bands.setdefault(metric, [])
        for method, means in within(folder, settings).items():
            for side, label in SIDES.items():
                for metric, curves in bands.items():
                    if f"{metric}_{side}" in means:
                        curves.append(Band(label.format(label_of(method)), episodes, means[f"{metric}_{side}"]))
    return [
        BandPanel(title, "inner episode", AXES.get(metric, metric), curves, "deviation")
        for metric, curves in bands.items()
    ]


def draw_run(folder: RunFolder, settings: CoalaIPD, path: Path) -> None:
    """The last agents of a run within a meta-trajectory."""
    panels = within_panels("within a meta-trajectory", [(folder, settings)])
    draw_row(path, panels, f"{folder.path.name}: {SPREAD}")
