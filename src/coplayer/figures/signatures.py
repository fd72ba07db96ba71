"""Policy signatures as one table of colours."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from coplayer.figures.panels import save
from coplayer.games.matrix import COOPERATE, MatrixGame


def draw_signatures(path: Path, rates: Mapping[str, Mapping[str, np.ndarray]], *, game: MatrixGame, title: str) -> None:
    """Write a table of P(cooperate) to `path` with the endings .png and .svg: a row per opponent, a column per
    situation.

    `rates[opponent]` has the fields of `analysis.signature.Signature`, with any leading axes, which are averaged.
    """
    pairs = pairs_of(game)
    columns = ["first", *(f"{pair} early" for pair in pairs), *(f"{pair} late" for pair in pairs), "after D", "after C"]
    rows = np.array([_row(fields) for fields in rates.values()])
    figure, axis = plt.subplots(figsize=(2.5 + 0.62 * len(columns), 1.2 + 0.42 * len(rows)), layout="constrained")
    image = axis.imshow(np.ma.masked_invalid(rows), vmin=0, vmax=1, cmap="RdYlBu", aspect="auto")
    axis.set_xticks(range(len(columns)), columns, rotation=45, ha="right", fontsize=7.5)
    axis.set_yticks(range(len(rows)), [name.replace("_", " ") for name in rates], fontsize=8)
    for i, j in np.argwhere(np.isfinite(rows)):
        axis.text(j, i, f"{rows[i, j]:.2f}", ha="center", va="center", fontsize=6.5)
    figure.colorbar(image, label="P(cooperate)")
    figure.suptitle(title, fontsize=10)
    save(figure, path)


def pairs_of(game: MatrixGame) -> list[str]:
    """The joint actions in their order, such as "CD": the own action first."""
    letters = "0123456789abcde" if game.num_actions > 2 else "CD" if game.cooperation == COOPERATE else "DC"
    return [own + other for own in letters[: game.num_actions] for other in letters[: game.num_actions]]


def _row(fields: Mapping[str, np.ndarray]) -> list[float]:
    """All rates of an opponent in the order of the columns; NaN for a situation that no seed or learner saw."""
    single = {name: fields[name].reshape(-1, 1) for name in ("first_move", "after_defection", "after_cooperation")}
    by_joint = {name: fields[name].reshape(-1, fields[name].shape[-1]) for name in ("early", "late")}
    parts = (single["first_move"], *by_joint.values(), single["after_defection"], single["after_cooperation"])
    values = np.concatenate(parts, axis=1)
    seen = np.isfinite(values)
    return np.where(seen.any(0), np.where(seen, values, 0).sum(0) / np.maximum(seen.sum(0), 1), np.nan).tolist()
