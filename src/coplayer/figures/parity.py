"""Tables: a quantity, the paper's value, ours with its spread over seeds, and whether a stated bound holds."""

from typing import NamedTuple

import numpy as np


class Quantity(NamedTuple):
    """One row of a table."""

    name: str
    paper: float | None
    ours: np.ndarray  # one value a seed
    at_least: float | None = None  # the bound to hold, seed by seed


def table(quantities: list[Quantity]) -> str:
    """The rows as a Markdown table."""
    lines = ["| quantity | paper | ours (mean ± sd) | by seed | verdict |", "| --- | --- | --- | --- | --- |"]
    for quantity in quantities:
        paper = "" if quantity.paper is None else f"{quantity.paper:.2f}"
        ours = f"{quantity.ours.mean():.3f} ± {quantity.ours.std():.3f}"
        by_seed = " ".join(f"{value:.2f}" for value in quantity.ours)
        lines.append(f"| {quantity.name} | {paper} | {ours} | {by_seed} | {_verdict(quantity)} |")
    return "\n".join(lines) + "\n"


def _verdict(quantity: Quantity) -> str:
    if quantity.at_least is not None:
        held = int((quantity.ours >= quantity.at_least).sum())
        return f"at least {quantity.at_least:g} in {held} of {len(quantity.ours)}"
    if quantity.paper is not None:
        return f"{quantity.ours.mean() - quantity.paper:+.2f}"
    return ""
