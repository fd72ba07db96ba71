"""What happens within a meta-trajectory, by inner episode: of one run, or of several side by side."""

from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from coplayer.experiments import coala_ipd
from coplayer.experiments.coala_ipd import LOLA_DICE, CoalaIPD
from coplayer.experiments.evaluate import EVALUATION_SEED
from coplayer.experiments.exact_figures import REWARD
from coplayer.experiments.studies import SPREAD
from coplayer.figures.panels import Band, BandPanel, draw_row
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder

LABELS = {"coala": "COALA-PG", "m_fos": "M-FOS", "batch_unaware": "batch-unaware", LOLA_DICE: "LOLA-DiCE"}
MEASURED = {"reward": REWARD, "cooperation": "cooperation rate"}
SIDES = {"vs_naive": "{}", "of_naive": "naive learners, {}", "vs_learner": "{}, other meta agents"}


def by_method(config: CoalaIPD) -> dict[str, list[int]]:
    """Numbers of the agents of each method."""
    methods = coala_ipd.make_setting(config).methods
    return {method: [i for i, own in enumerate(methods) if own == method] for method in dict.fromkeys(methods)}


def within(folder: RunFolder, config: CoalaIPD) -> dict[str, dict[str, Float[np.ndarray, "seeds episodes"]]]:
    """Means by inner episode with the last agents, by method and metric."""
    agents = checkpoint.load(folder.agents_file(folder.phases()[-1]))[1]
    means = coala_ipd.within_meta_trajectory(config, agents, jax.random.key(EVALUATION_SEED))
    return {
        method: {name: values[:, own].mean(1) for name, values in means.items()}
        for method, own in by_method(config).items()
    }


def within_panels(title: str, runs: Iterable[tuple[RunFolder, CoalaIPD]]) -> list[BandPanel]:
    """Reward and cooperation of both sides within a meta-trajectory of some runs, a panel each."""
    bands: dict[str, list[Band]] = {metric: [] for metric in MEASURED}
    for folder, config in runs:
        episodes = np.arange(1, config.inner_episodes + 1)
        for method, means in within(folder, config).items():
            for side, label in SIDES.items():
                for metric in MEASURED:
                    if f"{metric}_{side}" in means:
                        band = Band(label.format(LABELS[method]), episodes, means[f"{metric}_{side}"])
                        bands[metric].append(band)
    return [BandPanel(title, "inner episode", label, bands[metric], "deviation") for metric, label in MEASURED.items()]


def draw_run(folder: RunFolder, config: CoalaIPD, path: Path) -> None:
    """The last agents of a run within a meta-trajectory."""
    panels = within_panels("within a meta-trajectory", [(folder, config)])
    draw_row(path, panels, f"{folder.path.name}: {SPREAD}")
