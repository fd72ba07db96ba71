"""Tables of the paper's values beside ours, with our spread over seeds and whether a stated bound holds."""

from typing import NamedTuple

import numpy as np

MOST_SHOWN = 10  # seeds whose values are listed one by one


class Quantity(NamedTuple):
    """One row of a table."""

    name: str
    paper: float | None
    ours: np.ndarray  # one value per seed; NaN where a seed has none
    at_least: float | None = None  # the lower bound that each seed is to keep
    at_most: float | None = None  # the upper bound that each seed is to keep


def table(quantities: list[Quantity]) -> str:
    """The rows as a Markdown table."""
    lines = ["| quantity | paper | ours (mean ± sd) | by seed | verdict |", "| --- | --- | --- | --- | --- |"]
    for quantity in quantities:
        paper = "" if quantity.paper is None else f"{quantity.paper:.2f}"
        ours, by_seed = _ours(quantity.ours), _by_seed(quantity.ours)
        lines.append(f"| {quantity.name} | {paper} | {ours} | {by_seed} | {_verdict(quantity)} |")
    return "\n".join(lines) + "\n"


def _defined(values: np.ndarray) -> np.ndarray:
    """The values of the seeds that have one."""
    return values[~np.isnan(values)]


def _ours(values: np.ndarray) -> str:
    """Mean and deviation over the seeds that have a value, with their number where it is not all; nan for none."""
    defined = _defined(values)
    if not len(defined):
        return "nan"
    of = "" if len(defined) == len(values) else f" of {len(defined)}"
    return f"{defined.mean():.3f} ± {defined.std():.3f}{of}"


def _by_seed(values: np.ndarray) -> str:
    """Every value, with a dash for a seed that has none. Many values are told by their quartiles."""
    if len(values) <= MOST_SHOWN:
        return " ".join("-" if np.isnan(value) else f"{value:.2f}" for value in values)
    low, middle, high = np.nanpercentile(values, [25, 50, 75])
    return f"quartiles {low:.2f} {middle:.2f} {high:.2f} of {len(_defined(values))}"


def _verdict(quantity: Quantity) -> str:
    low, high = quantity.at_least, quantity.at_most
    if low is not None or high is not None:
        holds = np.full(len(quantity.ours), True)
        if low is not None:
            holds &= quantity.ours >= low
        if high is not None:
            holds &= quantity.ours <= high
        words = f"at most {high:g}" if low is None else f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
        return f"{words} in {int(holds.sum())} of {len(holds)}"
    defined = _defined(quantity.ours)
    if quantity.paper is not None and len(defined):
        return f"{defined.mean() - quantity.paper:+.2f}"
    return ""
