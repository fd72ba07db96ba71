"""Statistics over seeds, by hand and by the definitions of the paper."""

from itertools import product

import numpy as np
import pytest

from coplayer.analysis.statistics import (
    compare,
    improvement_interval,
    interquartile_mean,
    interval,
    intervals,
    probability_of_improvement,
)
from coplayer.errors import CoplayerError


@pytest.mark.parametrize(
    ("values", "mean"),
    [
        ([100.0, 1.0, 2.0, -50.0], 1.5),  # one of four at either end is left out
        ([5.0], 5.0),
        ([1.0, 2.0, 6.0], 3.0),  # of fewer than four none
        ([0.0, 0.0, 1.0, 2.0, 3.0, 4.0, 9.0, 9.0], 2.5),
        ([7.0, 1.0, 2.0, 3.0, -9.0], 2.0),
    ],
)
def test_interquartile_mean_by_hand(values, mean):
    assert interquartile_mean(np.array(values)) == pytest.approx(mean)


def test_probability_of_improvement_by_hand():
    ours, theirs = np.array([1.0, 3.0, 3.0]), np.array([0.0, 3.0])  # 1 beats 0; 3 beats 0 and ties with 3, twice
    assert probability_of_improvement(ours, theirs) == pytest.approx((1 + 2 + 2 * 0.5) / 6)
    assert probability_of_improvement(theirs, ours) == pytest.approx(1 - 4 / 6)
    assert probability_of_improvement(ours, ours) == 0.5
    assert probability_of_improvement(ours + 9, theirs) == 1.0 and probability_of_improvement(ours - 9, theirs) == 0.0


def test_probability_of_improvement_over_all_pairs():
    draw = np.random.default_rng(0)
    for sizes in ((1, 1), (5, 5), (8, 3), (30, 41)):
        one, two = (np.round(draw.normal(size=size), 1) for size in sizes)
        pairs = [(a > b) + 0.5 * (a == b) for a, b in product(one, two)]
        assert probability_of_improvement(one, two) == pytest.approx(np.mean(pairs))


def test_the_interval_of_an_improvement_covers_it():
    """Two normal distributions one deviation apart: the truth is 0.760, and mostly inside."""
    draw, truth, inside = np.random.default_rng(1), 0.7602, 0
    for _ in range(40):
        low, high = improvement_interval(draw.normal(1.0, 1.0, 25), draw.normal(0.0, 1.0, 25))
        inside += low <= truth <= high
    assert 34 <= inside <= 40
    assert improvement_interval(np.array([2.0, 3.0]), np.array([0.0, 1.0])) == (1.0, 1.0)


def test_a_resample_in_parts_is_one_in_whole(monkeypatch):
    one, two = np.array([1.0, 2.0, 5.0]), np.array([1.5, 3.0])
    whole = improvement_interval(one, two)
    monkeypatch.setattr("coplayer.analysis.statistics.MOST_AT_ONCE", 6 * 3000)
    np.testing.assert_allclose(improvement_interval(one, two), whole, atol=0.17 + 1e-9)  # one step of 1 / 6


def test_the_table_shows_the_seeds_that_failed():
    """The worst seed, and those without a value, stay in sight beside the interquartile mean."""
    found = compare({"new": [1.0, 1.0, 1.0, -3.0], "old": [0.5, 0.5, np.nan, 0.5], "none": [np.nan]})
    lines = found.table("reward").splitlines()
    assert lines[0] == "| reward | mean | 95% interval | IQM | least | greatest | seeds |"
    assert lines[2].startswith("| new | 0.000 | ") and lines[2].endswith(" | 1.000 | -3.000 | 1.000 | 4 |")
    assert lines[3] == "| old | 0.500 | 0.500 to 0.500 | 0.500 | 0.500 | 0.500 | 3 of 4 |"
    assert lines[4] == "| none | nan |  |  |  |  | 0 of 1 |"
    assert lines[6] == "| greater value | probability | 95% interval |"
    assert lines[8].startswith("| new over old | 0.75 | ")
    assert lines[9] == "| new over none | nan |  |"
    assert lines[10:] == ["| old over none | nan |  |"]
    assert found.improvement("old", "new") == 0.25


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interquartile_mean(np.array([])), "values: must be one number per seed"),
        (lambda: interquartile_mean(np.zeros((2, 2))), "values: must be one number per seed"),
        (lambda: interquartile_mean(np.array([1.0, np.nan])), "values: must be finite"),
        (lambda: probability_of_improvement(np.array([1.0]), np.array([np.inf])), "others: must be finite"),
        (lambda: compare({"one": [1.0]}), "by_method: needs two methods or more, got one"),
        (lambda: compare({"one": [1.0], "two": []}), "by_method: two must have one finite number"),
        (lambda: compare({"one": [1.0], "two": [np.inf]}), "by_method: two must have one finite number"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(CoplayerError, match=message):
        call()


def test_the_interval_of_a_mean_against_the_normal_one():
    values = np.random.default_rng(1).normal(3.0, 2.0, 400)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    np.testing.assert_allclose(interval(values), [values.mean() - half, values.mean() + half], atol=0.03)
    assert interval(np.array([1, 1, 1])) == (1.0, 1.0)  # counts too


@pytest.mark.parametrize("seeds", [2, 5, 9, 32])
def test_intervals_of_many_points_are_those_of_each(seeds):
    values = np.random.default_rng(seeds).normal(size=(seeds, 6))
    values[:, 0] = 1.0  # all seeds alike
    found = np.transpose(intervals(values))
    np.testing.assert_allclose(found, [interval(values[:, i]) for i in range(6)], atol=1e-12)
