"""The coin game on the 3 x 3 torus: whose coins do naive learners take, beside each other and beside meta agents?

Neither paper has this game. The measure is the field's: the share of a player's coins that have its own colour.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from coplayer.experiments import coin
from coplayer.experiments.coala_ipd import CoalaIPD
from coplayer.figures.panels import Band, BandPanel, draw_row
from coplayer.figures.parity import Quantity
from coplayer.reproduce.coala_figures import COALA, ended, label_of, of_pool
from coplayer.reproduce.exact_figures import ITERATION, band
from coplayer.reproduce.studies import SPREAD, Study
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust

Folders = dict[str, RunFolder]
Settings = dict[str, CoalaIPD]

SEEDS = 5
NAIVE = "coin-naive"
SHARE = "share of own coins"


def runs(preset: str) -> Settings:
    """Naive learners with each other, and COALA-PG in two pools."""
    named = {NAIVE: coin.NAIVE, f"coin-shaping-{COALA}": coin.SHAPING, f"coin-mixed-{COALA}": coin.MIXED}
    return {f"{name}-{preset}": adjust(presets[preset], seeds=SEEDS) for name, presets in named.items()}


def share(own: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Own coins among all coins taken; nan where none is taken."""
    return own / np.where(own + other > 0, own + other, np.nan)


class Curve(NamedTuple):
    """Whose coins a curve is about."""

    label: str
    run: str
    side: str  # of the run's metrics, such as "vs_naive"


def shown(names: list[str]) -> dict[str, list[Curve]]:
    """The curves of each panel, by its title."""
    shaping, mixed = of_pool(names, "coin-shaping"), of_pool(names, "coin-mixed")
    panels = {
        "naive learners with each other": [
            Curve("naive learners", name, "vs_learner") for name in names if name.startswith(NAIVE)
        ],
        "meta agent and naive learners": [
            Curve(label.format(label_of(method)), name, side)
            for label, side in (("{}", "vs_naive"), ("naive learners beside {}", "of_naive"))
            for method, name in shaping.items()
        ],
        "mixed pool: meta agents with each other": [
            Curve(label_of(method), name, "vs_learner") for method, name in mixed.items()
        ],
    }
    return {title: curves for title, curves in panels.items() if curves}


def share_over_training(folder: RunFolder, side: str, label: str) -> Band:
    own, other = (band(folder, f"{coins}_{side}", label) for coins in ("own_coins", "other_coins"))
    return Band(label, own.x, share(own.values, other.values))


def share_at_the_end(folder: RunFolder, side: str) -> Float[np.ndarray, " seeds"]:
    return share(*(ended(folder, f"{coins}_{side}") for coins in ("own_coins", "other_coins")))


def draw(folders: Folders, settings: Settings, path: Path) -> list[Quantity]:
    panels, rows = [], []
    for title, curves in shown(list(folders)).items():
        bands = [share_over_training(folders[at.run], at.side, at.label) for at in curves]
        panels.append(BandPanel(title, ITERATION, SHARE, bands, "deviation"))
        for label, run, side in curves:
            numbers = {
                SHARE: share_at_the_end(folders[run], side),
                "own coins per round": ended(folders[run], f"own_coins_{side}"),
                "coins of the other colour per round": ended(folders[run], f"other_coins_{side}"),
                "reward per round": ended(folders[run], f"reward_{side}"),
            }
            rows += [Quantity(f"{title}: {label}, {what}", None, values) for what, values in numbers.items()]
    draw_row(path, panels, f"Coin game: {SPREAD}")
    return rows


STUDIES = {
    "coin-game": Study(
        "whose coins naive learners take on a 3 x 3 torus, beside each other and beside meta agents",
        "not in the papers; the game of Foerster et al. 2018",
        {"quick": 60, "paper": None},
        runs,
        draw,
        parts=(NAIVE, "coin-shaping", "coin-mixed"),
    ),
}
