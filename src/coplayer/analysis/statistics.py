"""Statistics over seeds, to compare methods: intervals, the interquartile mean, the probability of improvement.

They are those of Agarwal et al. 2021 ("Deep reinforcement learning at the edge of the statistical precipice"), for one
task. The interquartile mean leaves out the worst quarter of the seeds, so that it hides seeds that failed. A comparison
shows it beside the mean and beside the worst seed, never alone.
"""

import functools
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike, Float

from coplayer.errors import require, require_kind

RESAMPLES = 10_000  # of the seeds
FEW = 1000  # distinct resamples, of few seeds, which are sorted as they are
MOST_AT_ONCE = 10**7  # pairs of seeds compared at a time


def interval(values: ArrayLike) -> tuple[float, float]:
    """95% interval of the mean of these values, at least two: percentiles of the means of resamples (bootstrap).

    Raises `CoplayerError` for no values, and for values that are not finite.
    """
    found = _seeds("values", values)
    means = np.random.default_rng(0).choice(found, (RESAMPLES, found.size)).mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


def intervals(values: Float[np.ndarray, "seeds points"]) -> tuple[np.ndarray, np.ndarray]:
    """The lower and the upper ends `[points]` of `interval` at each point."""
    weights, counts = _resamples(len(values))
    means = (weights @ values).T  # [point, resample]
    if len(counts) > FEW:
        low, high = np.percentile(np.repeat(means, counts, axis=1), [2.5, 97.5], axis=1)
        return low, high
    order = np.argsort(means, axis=1)
    means, last = np.take_along_axis(means, order, axis=1), counts[order].cumsum(1)

    def percentile(share: float) -> np.ndarray:
        """Between the two resamples that are next to the share, where all stand in order."""
        below, part = divmod(share * (RESAMPLES - 1), 1)
        places = [(last > place).argmax(1)[:, None] for place in (below, below + 1)]
        low, high = (np.take_along_axis(means, place, axis=1)[:, 0] for place in places)
        return low + part * (high - low)

    return percentile(0.025), percentile(0.975)


@functools.lru_cache(maxsize=4)
def _resamples(seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """The resamples of so many seeds: the share of each seed `[resample, seed]`, and how often each was drawn."""
    draws = np.random.default_rng(0).choice(seeds, (RESAMPLES, seeds))
    shares = np.zeros((RESAMPLES, seeds))
    np.add.at(shares, (np.arange(RESAMPLES)[:, None], draws), 1 / seeds)
    return np.unique(shares, axis=0, return_counts=True)


def interquartile_mean(values: ArrayLike) -> float:
    """The mean of the middle half of the values: of n values, n // 4 at either end are left out.

    Raises `CoplayerError` for no values, and for values that are not finite.
    """
    from scipy.stats import trim_mean  # takes half a second to import

    return float(trim_mean(_seeds("values", values), 0.25))


def probability_of_improvement(values: ArrayLike, others: ArrayLike) -> float:
    """The probability that a seed of the one method has a greater value than a seed of the other. Each seed is drawn at
    random; equal values count as half. `values` and `others` may be of different numbers of seeds.

    Raises `CoplayerError` for no values, and for values that are not finite.
    """
    from scipy.stats import mannwhitneyu  # takes half a second to import

    one, two = _seeds("values", values), _seeds("others", others)
    return float(mannwhitneyu(one, two).statistic / (len(one) * len(two)))


def improvement_interval(values: ArrayLike, others: ArrayLike) -> tuple[float, float]:
    """95% interval of `probability_of_improvement`: percentiles over resamples of the seeds of both methods."""
    one, two = _seeds("values", values), _seeds("others", others)
    wins = (one[:, None] > two) + 0.5 * (one[:, None] == two)
    draw, found = np.random.default_rng(0), []
    step = max(1, MOST_AT_ONCE // wins.size)
    for start in range(0, RESAMPLES, step):
        size = min(step, RESAMPLES - start)
        rows, columns = (draw.integers(len(side), size=(size, len(side))) for side in (one, two))
        found.append(wins[rows[:, :, None], columns[:, None, :]].mean((1, 2)))
    low, high = np.percentile(np.concatenate(found), [2.5, 97.5])
    return float(low), float(high)


def _seeds(name: str, values: ArrayLike) -> Float[np.ndarray, " seeds"]:
    found = np.asarray(values, float)
    require(found.ndim == 1 and found.size > 0, f"{name}: must be one number per seed, got shape {found.shape}")
    require(bool(np.isfinite(found).all()), f"{name}: must be finite, got {found}")
    return found


class Comparison(NamedTuple):
    """Methods beside each other, by what one number per seed says of each."""

    by_method: dict[str, Float[np.ndarray, " seeds"]]
    """The values of each method; nan where a seed has none."""

    def defined(self, method: str) -> Float[np.ndarray, " defined"]:
        """The values of the seeds that have one."""
        values = self.by_method[method]
        return values[~np.isnan(values)]

    def improvement(self, method: str, other: str) -> float:
        """The probability that `method` has the greater value (see `probability_of_improvement`), over the seeds that
        have one; nan if there are none.
        """
        one, two = self.defined(method), self.defined(other)
        return probability_of_improvement(one, two) if len(one) and len(two) else np.nan

    def table(self, measured: str = "value") -> str:
        """Two Markdown tables. The first has each method's mean, interval, interquartile mean (IQM), worst and best
        seed, and number of seeds with a value. The second has, for each pair, the probability that the first of the two
        has the greater value.
        """
        lines = [f"| {measured} | mean | 95% interval | IQM | least | greatest | seeds |", "| --- " * 7 + "|"]
        lines += [f"| {method} | {' | '.join(self._cells(method))} |" for method in self.by_method]
        lines += ["", "| greater value | probability | 95% interval |", "| --- " * 3 + "|"]
        for one, two in combinations(self.by_method, 2):
            sides = self.defined(one), self.defined(two)
            several = all(len(side) > 1 for side in sides)
            spread = "{:.2f} to {:.2f}".format(*improvement_interval(*sides)) if several else ""
            lines.append(f"| {one} over {two} | {self.improvement(one, two):.2f} | {spread} |")
        return "\n".join(lines) + "\n"

    def _cells(self, method: str) -> list[str]:
        values, count = self.defined(method), len(self.by_method[method])
        seeds = f"{len(values)}" if len(values) == count else f"{len(values)} of {count}"
        if not len(values):
            return ["nan", "", "", "", "", seeds]
        spread = "{:.3f} to {:.3f}".format(*interval(values)) if len(values) > 1 else ""
        numbers = (interquartile_mean(values), values.min(), values.max())
        return [f"{values.mean():.3f}", spread, *(f"{number:.3f}" for number in numbers), seeds]


def compare(by_method: Mapping[str, ArrayLike | Sequence[float]]) -> Comparison:
    """Compare methods by one number per seed each, such as the reward at the end of training. A seed without a value
    has nan. Numbers of seeds may differ.

        compare({"COALA-PG": coala, "M-FOS": m_fos}).table("reward per round")

    Raises `CoplayerError` for fewer than two methods, for one without seeds, and for infinite values.
    """
    require_kind("by_method", by_method, Mapping)
    require(len(by_method) >= 2, f"by_method: needs two methods or more, got {', '.join(by_method) or 'none'}")
    found = {method: np.asarray(values, float) for method, values in by_method.items()}
    for method, values in found.items():
        fits = values.ndim == 1 and values.size > 0 and not np.isinf(values).any()
        require(fits, f"by_method: {method} must have one finite number, or nan, per seed, got {values}")
    return Comparison(found)
