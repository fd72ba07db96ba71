"""Pictures of a tournament: the order of the players, the values in the cells, and who takes over."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coplayer.analysis.tournament import Tournament
from coplayer.figures import tournaments

REWARDS = np.array([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [1.0, 2.0, 3.0]])  # means over all: 1, 4, 2
HELD = Tournament(
    ("low", "high", "middle"),
    {"reward": np.stack([REWARDS - 0.5, REWARDS + 0.5], -1), "cooperation": np.stack([REWARDS / 10] * 2, -1)},
)
BEST_FIRST = [1, 2, 0]


@pytest.fixture
def drawn(monkeypatch):
    figures = []
    monkeypatch.setattr(tournaments, "save", lambda figure, path: figures.append(figure))
    yield figures
    plt.close("all")


def labels(ticks):
    return [tick.get_text() for tick in ticks]


@pytest.mark.parametrize(("most", "title"), [(40, "a title"), (2, "a title; the best 2 of 3")])
def test_a_ranking_has_the_best_player_on_top(drawn, tmp_path, monkeypatch, most, title):
    monkeypatch.setattr(tournaments, "MOST_NAMED", most)
    tournaments.draw_ranking(tmp_path / "ranking", HELD, "a title")
    (axis,) = drawn[0].axes
    assert labels(axis.get_yticklabels()) == ["low", "middle", "high"][-most:]
    medians = [line.get_xdata().tolist() for line in axis.lines[5::6]]  # after the box, two whiskers and two caps
    assert medians == [[value] * 2 for value in (1.0, 2.0, 4.0)[-most:]]
    assert axis.get_title() == title


def test_matrices_have_the_row_players_values_the_best_first(drawn, tmp_path):
    tournaments.draw_matrices(tmp_path / "matrices", HELD, "a title")
    rewards, cooperation = (axis for axis in drawn[0].axes if axis.images)
    for axis, values, title in (
        (rewards, REWARDS, "reward per round"),
        (cooperation, REWARDS / 10, "cooperation rate"),
    ):
        np.testing.assert_allclose(axis.images[0].get_array(), values[np.ix_(BEST_FIRST, BEST_FIRST)])
        assert labels(axis.get_xticklabels()) == labels(axis.get_yticklabels()) == ["high", "middle", "low"]
        assert axis.get_title() == f"{title} of the row's player"


def test_a_population_shows_shares_over_time_and_who_takes_over(drawn, tmp_path):
    times, shares = np.array([0.0, 1.0]), np.array([[0.2, 0.3, 0.5], [0.9, 0.1, 0.0]])
    tournaments.draw_population(
        tmp_path / "population", HELD.names, times, shares, np.array([0.2, 0.7, 0.1]), "a title"
    )
    left, right = drawn[0].axes
    curves = {line.get_label(): line.get_xydata().tolist() for line in left.lines}
    assert curves == {name: np.c_[times, shares[:, i]].tolist() for i, name in enumerate(HELD.names)}
    assert list(curves) == ["low", "middle", "high"]  # by the greatest share
    bars = dict(zip(labels(right.get_yticklabels()), (bar.get_width() for bar in right.patches), strict=True))
    assert bars == {"middle": 0.1, "low": 0.2, "high": 0.7}
    assert right.lines[0].get_xdata()[0] == pytest.approx(1 / 3)  # by chance
