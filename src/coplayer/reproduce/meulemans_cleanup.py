"""CleanUp-lite in Meulemans et al. 2025: figures 6 and 13 (naive learners alone), 7 and 14 (the mixed pool).

Every panel is drawn twice: over training, and by inner episode with the agents at the end of training.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from coplayer.experiments import cleanup
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.figures.panels import Band, BandPanel, draw_rows
from coplayer.figures.parity import Quantity
from coplayer.reproduce.coala_figures import COALA, METHODS, ended, in_names, label_of, of_pool, within
from coplayer.reproduce.exact_figures import ITERATION, REWARD, band
from coplayer.reproduce.studies import SPREAD, Study
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust

Folders = dict[str, RunFolder]
Settings = dict[str, CoalaIPD]

SEEDS = 5
MINUTES = {"shaping": 60, "mixed": 90}  # of quick, all runs, on two cores


class Shown(NamedTuple):
    """What a panel shows, and whether the paper finds more or less of it with COALA-PG."""

    metric: str
    label: str
    more: bool  # with COALA-PG than with the other methods


def shown(side: str) -> dict[str, Shown]:
    """The panels of a pool, by the names they have here. `side`: "vs_naive" or "vs_learner"."""
    return {
        "reward": Shown(f"reward_{side}", REWARD, True),
        "discrepancy": Shown(f"cleaning_discrepancy_{side}", "cleaning discrepancy", False),
        "zapped": Shown(f"zapped_{side}", "zapped, per round", False),
        "naive": Shown("reward_of_naive", "naive learners' reward per round", True),
        "pollution": Shown(f"pollution_{side}", "patches of dirt", False),
        "apples": Shown(f"apples_{side}", "apples", True),
    }


SHAPING, MIXED = shown("vs_naive"), shown("vs_learner")


def runs(pool: str, preset: str) -> Settings:
    """Each method in a pool."""
    return {
        f"cleanup-{pool}-{in_names(method)}-{preset}": adjust(cleanup.of_method(pool, preset, method), seeds=SEEDS)
        for method in METHODS
    }


def draw(
    pool: str, panels: dict[str, Shown], title: str, folders: Folders, settings: Settings, path: Path
) -> list[Quantity]:
    """`panels`: by letter."""
    names = of_pool(folders, f"cleanup-{pool}")
    afterwards = {
        method: within(folders[name], settings[name])[method]  # of agents of one method
        for method, name in names.items()
    }

    def by_training(method: str, metric: str) -> Band:
        return band(folders[names[method]], metric, label_of(method))

    def by_inner_episode(method: str, metric: str) -> Band:
        values = afterwards[method][metric]
        return Band(label_of(method), np.arange(1, values.shape[1] + 1), values)

    def row(of_method: Callable[[str, str], Band], x: str) -> list[BandPanel]:
        return [
            BandPanel(f"{letter}  {what.label}", x, what.label, [of_method(m, what.metric) for m in names], "deviation")
            for letter, what in panels.items()
        ]

    both = [row(by_training, ITERATION), row(by_inner_episode, "inner episode, after training")]
    draw_rows(path, both, f"CleanUp-lite, {title}: {SPREAD}")
    ends = {
        method: {letter: ended(folders[name], what.metric) for letter, what in panels.items()}
        for method, name in names.items()
    }
    rows = [
        Quantity(
            f"{letter}: {label_of(method)}, {what.label}",
            None,
            ends[method][letter],
            of_method=(f"{letter}: {what.label}", label_of(method)),
        )
        for letter, what in panels.items()
        for method in names
    ]
    for rival in (method for method in names if method != COALA and COALA in names):
        for letter, what in panels.items():
            difference = ends[COALA][letter] - ends[rival][letter]
            bound = {"at_least": 0.0} if what.more else {"at_most": 0.0}
            rows.append(Quantity(f"{letter}: COALA-PG less {label_of(rival)}, {what.label}", None, difference, **bound))
    return rows + (who_cleans(folders, names) if pool == "shaping" else [])


def who_cleans(folders: Folders, names: dict[str, str]) -> list[Quantity]:
    """Patches cleaned per round by both sides. The paper finds that COALA-PG's naive learners clean more than it."""
    rows = []
    for method, name in names.items():
        own, naive = (ended(folders[name], f"cleaning_{side}") for side in ("vs_naive", "of_naive"))
        bound = {"at_least": 0.0} if method == COALA else {}
        rows += [
            Quantity(f"{label_of(method)}, patches it cleans per round", None, own),
            Quantity(f"{label_of(method)}, how much more its naive learners clean", None, naive - own, **bound),
        ]
    return rows


def study(pool: str, source: str, shows: str, title: str, panels: str) -> Study:
    """`panels`: such as "A reward, B zapped"."""
    of_pool = {"shaping": SHAPING, "mixed": MIXED}[pool]
    by_letter = {letter: of_pool[name] for letter, name in (panel.split() for panel in panels.split(", "))}
    return Study(
        shows,
        f"Meulemans et al. 2025, {source}",
        {"quick": MINUTES[pool], "paper": None},
        partial(runs, pool),
        partial(draw, pool, by_letter, title),
        parts=tuple(f"cleanup-{pool}-{in_names(method)}" for method in METHODS),
    )


STUDIES = {
    "meulemans-fig6": study(
        *("shaping", "figure 6", "who earns, cleans and zaps in CleanUp-lite, where meta agents meet naive learners"),
        *("among naive learners", "A reward, B discrepancy, C zapped"),
    ),
    "meulemans-fig7": study(
        *("mixed", "figure 7", "who earns, cleans and zaps in CleanUp-lite, where meta agents meet each other"),
        *("meta agents with each other in the mixed pool", "A reward, B discrepancy, C zapped"),
    ),
    "meulemans-fig13": study(
        *("shaping", "figure 13", "what naive learners earn beside meta agents in CleanUp-lite; dirt and apples"),
        *("among naive learners", "D naive, E pollution, F apples"),
    ),
    "meulemans-fig14": study(
        *("mixed", "figure 14", "dirt and apples of CleanUp-lite, where meta agents meet each other"),
        *("meta agents with each other in the mixed pool", "D pollution, E apples"),
    ),
}
