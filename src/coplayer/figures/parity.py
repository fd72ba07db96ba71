"""Tables of the paper's values beside ours, with our spread over seeds and whether a stated bound holds."""

from typing import NamedTuple

import numpy as np

from coplayer.analysis.statistics import compare, interval

MOST_SHOWN = 10  # seeds whose values are listed one by one
DETAILS = ("n", "by seed")
HEADINGS = ("quantity", "paper", "ours (mean ± sd)", "95% interval", "n", "by seed", "verdict")


class Quantity(NamedTuple):
    """One row of a table."""

    name: str
    paper: float | None
    ours: np.ndarray  # one value per seed; NaN where a seed has none
    at_least: float | None = None  # the lower bound that each seed is to keep
    at_most: float | None = None  # the upper bound that each seed is to keep
    of_method: tuple[str, str] | None = None  # for a comparison of methods: what is measured, and the method


def table(quantities: list[Quantity]) -> str:
    """The rows as a Markdown table. The deviation is that of a sample, the interval a bootstrap of the mean over seeds.
    n is the number of seeds that have a value.
    """
    lines = [_row(HEADINGS), _row(("---",) * len(HEADINGS)), *(_row(cells(quantity)) for quantity in quantities)]
    return "\n".join(lines) + "\n"


def cells(quantity: Quantity) -> tuple[str, ...]:
    """A row in words, one cell per heading."""
    paper = "" if quantity.paper is None else f"{quantity.paper:.2f}"
    defined = _defined(quantity.ours)
    ours = (_mean(defined), _interval(defined), str(len(defined)), _by_seed(quantity.ours))
    return (quantity.name, paper, *ours, _verdict(quantity))


def comparison(quantities: list[Quantity]) -> str:
    """Markdown tables that compare methods (see `analysis.statistics`), one for whatever is measured of two methods or
    more; "" if nothing is.
    """
    measured: dict[str, dict[str, np.ndarray]] = {}
    for quantity in quantities:
        if quantity.of_method is not None:
            what, method = quantity.of_method
            measured.setdefault(what, {})[method] = quantity.ours
    return "\n".join(compare(methods).table(what) for what, methods in measured.items() if len(methods) > 1)


def brief(text: str) -> str:
    """A text that ends with a table, for a narrow terminal: without the columns that are empty or go into detail."""
    before, bar, table = text.partition("|")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in (bar + table).splitlines()]
    headings, _, *body = rows
    kept = [i for i, name in enumerate(headings) if name not in DETAILS and any(row[i] for row in body)]
    return before + "\n".join(_row(tuple(row[i] for i in kept)) for row in rows) + "\n"


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def _defined(values: np.ndarray) -> np.ndarray:
    """The values of the seeds that have one."""
    return values[~np.isnan(values)]


def _mean(values: np.ndarray) -> str:
    """Mean and sample deviation, which one value does not have; nan for none."""
    if not len(values):
        return "nan"
    return f"{values.mean():.3f}" + (f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else "")


def _interval(values: np.ndarray) -> str:
    return "{:.3f} to {:.3f}".format(*interval(values)) if len(values) > 1 else ""


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
