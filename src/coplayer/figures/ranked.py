"""Places of some players among many others: all rewards in order, ours marked by name, and what ours earn by round."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

from coplayer.figures.panels import save, tidy

NAMED = 3  # of the best others


class Place(NamedTuple):
    """One kind of player of ours, and the reward of each of its repetitions."""

    label: str
    rewards: Float[np.ndarray, " repetitions"]


def draw_places(
    path: Path,
    panels: Sequence[tuple[str, Mapping[str, float], Sequence[Place]]],
    by_round: Mapping[str, Float[np.ndarray, " rounds"]],
    title: str,
    excess: Mapping[str, Float[np.ndarray, " rounds"]] | None = None,
) -> None:
    """A panel for each (title, rewards of the others by name, ours). The others are grey dots in the order of their
    rewards. Ours are coloured dots at the places that their rewards have. Below, a line for each of `by_round`: what
    ours earn in each round. Under these, where given, a line for each of `excess`: an excess prediction loss by round.
    """
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    below = 2 if excess else 1
    figure = plt.figure(figsize=(4.6 * columns, 3.4 * (rows + below)), layout="constrained")
    grid = figure.add_gridspec(rows + below, columns)
    first = None
    for number, (heading, others, ours) in enumerate(panels):
        axis = figure.add_subplot(grid[divmod(number, columns)], sharey=first)
        first = first or axis
        names = sorted(others, key=others.__getitem__)
        rewards = np.array([others[name] for name in names])
        axis.plot(np.arange(len(names)), rewards, ".", color="0.6", markersize=4)
        for back, name in enumerate(reversed(names[-NAMED:])):
            place = len(names) - 1 - back
            axis.annotate(
                name,
                (place, rewards[place]),
                (place - 12, rewards[place] - 0.02 - 0.07 * back),
                fontsize=7,
                ha="right",
                color="0.35",
                arrowprops={"arrowstyle": "-", "color": "0.7", "linewidth": 0.6},
            )
        for colour, place in enumerate(ours):
            at = np.searchsorted(rewards, place.rewards)
            axis.plot(at, place.rewards, "o", color=f"C{colour}", markersize=6, alpha=0.8, label=place.label)
        axis.set_title(heading, fontsize=9)
        axis.set_xlabel("strategies of the Axelrod library, the best on the right", fontsize=8)
        axis.set_ylabel("reward per round", fontsize=8)
        axis.legend(fontsize=8, frameon=False, loc="upper left")
        tidy(axis)
    _draw_lines(figure.add_subplot(grid[rows, :]), by_round, "ours, as the match goes on", "reward")
    if excess:
        heading = "what they know of a stranger: 0 is all that can be known"
        _draw_lines(figure.add_subplot(grid[rows + 1, :]), excess, heading, "excess prediction loss, nats")
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def _draw_lines(axis, lines: Mapping[str, Float[np.ndarray, " rounds"]], heading: str, quantity: str) -> None:
    for label, values in lines.items():
        axis.plot(np.arange(1, len(values) + 1), values, linewidth=1.2, label=label)
    axis.set_xscale("log")
    axis.set_title(heading, fontsize=9)
    axis.set_xlabel("round", fontsize=8)
    axis.set_ylabel(quantity, fontsize=8)
    axis.legend(fontsize=8, frameon=False)
    tidy(axis)
