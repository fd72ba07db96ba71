"""Ashlock's fingerprints as pictures, side by side."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

from coplayer.figures.panels import save

COLUMNS = 4


def draw_fingerprints(path: Path, fingerprints: Mapping[str, Float[np.ndarray, "points points"]], title: str) -> None:
    """One square for each player, `[x, y]`, with the same colours for the same rewards."""
    columns = min(COLUMNS, len(fingerprints))
    rows = -(-len(fingerprints) // columns)
    figure, axes = plt.subplots(
        rows, columns, figsize=(2.6 * columns + 1.2, 2.7 * rows + 0.4), layout="constrained", squeeze=False
    )
    low, high = (float(function(list(fingerprints.values()))) for function in (np.min, np.max))
    for axis in axes.flat[len(fingerprints) :]:
        axis.axis("off")
    for axis, (name, rewards) in zip(axes.flat, fingerprints.items(), strict=False):
        half = 0.5 / max(1, len(rewards) - 1)  # of a cell, whose middle is its point
        edges = (-half, 1 + half, -half, 1 + half)
        picture = axis.imshow(
            rewards.T, origin="lower", extent=edges, vmin=low, vmax=high, cmap="viridis", aspect="equal"
        )
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("x, the probe's cooperation", fontsize=8)
        axis.set_ylabel("y, the probe's defection", fontsize=8)
        axis.set_xticks((0, 1))
        axis.set_yticks((0, 1))
    figure.colorbar(picture, ax=axes, label="reward per round", shrink=0.8)
    figure.suptitle(title, fontsize=10)
    save(figure, path)
