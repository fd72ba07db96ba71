"""Pictures of a tournament and of populations that play it: ranking, matrices, who takes over."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

from coplayer.analysis.tournament import Tournament
from coplayer.figures.panels import save, tidy

MOST_NAMED = 40  # players whose names have room beside a matrix
MOST_CURVES = 10


def draw_ranking(path: Path, held: Tournament, title: str) -> None:
    """A box of each player's scores: the first matches with all players, itself included, are a score, the second ones
    another. The best player is on top.
    """
    order = np.argsort(held.scores().mean(-1), kind="stable")[-MOST_NAMED:]
    figure, axis = plt.subplots(figsize=(7.5, 1.2 + 0.21 * len(order)), layout="constrained")
    axis.boxplot(held.scores()[order].T, orientation="horizontal", widths=0.6, showfliers=False)
    axis.set_yticks(np.arange(1, len(order) + 1), [held.names[i] for i in order], fontsize=8)
    hidden = len(held.names) - len(order)
    more = f"; the best {len(order)} of {len(held.names)}" if hidden else ""
    axis.set(xlabel="reward per round, mean over all players, itself included", title=f"{title}{more}")
    axis.title.set_fontsize(9)
    tidy(axis)
    save(figure, path)


def draw_matrices(path: Path, held: Tournament, title: str) -> None:
    """Rewards and cooperation of the player of each row against that of each column; the best player first."""
    order = np.argsort(-held.scores().mean(-1), kind="stable")
    shown = {"reward per round": held.rewards} | {f"{name} rate": values for name, values in held.measures.items()}
    size = min(8.0, 3.6 + 0.12 * len(order))
    shape = (1.2 * size * len(shown), size)
    figure, axes = plt.subplots(1, len(shown), figsize=shape, layout="constrained", squeeze=False)
    for axis, (name, values) in zip(axes[0], shown.items(), strict=True):
        picture = axis.imshow(values[np.ix_(order, order)], cmap="viridis", interpolation="nearest")
        figure.colorbar(picture, ax=axis, shrink=0.7)
        names = [held.names[i] for i in order]
        if len(names) <= MOST_NAMED:
            axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
            axis.set_yticks(range(len(names)), names, fontsize=7)
        axis.set_title(f"{name} of the row's player", fontsize=9)
        axis.set_xlabel("against", fontsize=8)
        axis.set_ylabel("player, the best on top", fontsize=8)
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def draw_population(
    path: Path,
    names: tuple[str, ...],
    times: Float[np.ndarray, " points"],
    shares: Float[np.ndarray, "points types"],
    fixation: Float[np.ndarray, " types"],
    title: str,
) -> None:
    """The shares of the replicator dynamics over time, and how often each type takes over in the Moran process."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
    most = np.argsort(-shares.max(0), kind="stable")[:MOST_CURVES]
    for place, i in enumerate(most):
        left.plot(times, shares[:, i], color=f"C{place}", label=names[i], linewidth=1.8)
    left.set(xlabel="time", ylabel="share of the population", title="A  replicator dynamics", ylim=(-0.02, 1.02))
    left.legend(frameon=False, fontsize=7.5)
    winners = np.argsort(-fixation, kind="stable")[:MOST_CURVES][::-1]
    right.barh(range(len(winners)), fixation[winners], color="C0")
    right.axvline(1 / len(names), color="gray", linestyle="--", linewidth=1)
    right.set_yticks(range(len(winners)), [names[i] for i in winners], fontsize=8)
    right.set(xlabel="share of runs taken over (dashed: by chance)", title="B  Moran process")
    for axis in (left, right):
        axis.title.set_fontsize(9)
        tidy(axis)
    figure.suptitle(title, fontsize=10)
    save(figure, path)
