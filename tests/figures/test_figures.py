"""Published points, tables and panels."""

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.figures import panels, published
from coplayer.figures.panels import Line, Pair, draw
from coplayer.figures.parity import Quantity, table


def test_published_points_are_those_of_the_figure():
    x, y = published.curve("1A", "cooperation_rate", "ppi_vs_ppi")
    assert (np.diff(x) > 0).all()
    assert dict(zip(x, y, strict=True))[8] == 0.41
    with pytest.raises(CoplayerError, match="curve: no published points for panel 9Z"):
        published.curve("9Z", "cooperation_rate", "ppi_vs_ppi")


def test_table_by_hand():
    rows = [
        Quantity("cooperation", 0.9, np.array([0.7, 0.9]), at_least=0.8),
        Quantity("reward", 0.5, np.array([0.75, 0.75])),
        Quantity("other", None, np.array([1.0])),
        Quantity("slope", 1.0, np.array([0.5, np.nan, 1.0]), at_most=0.5),
        Quantity("nowhere", 1.0, np.array([np.nan])),
        Quantity("many", 1.0, np.r_[np.nan, np.arange(11.0)]),
    ]
    assert table(rows).splitlines()[2:] == [
        "| cooperation | 0.90 | 0.800 ± 0.100 | 0.70 0.90 | at least 0.8 in 1 of 2 |",
        "| reward | 0.50 | 0.750 ± 0.000 | 0.75 0.75 | +0.25 |",
        "| other |  | 1.000 ± 0.000 | 1.00 |  |",
        "| slope | 1.00 | 0.750 ± 0.250 of 2 | 0.50 - 1.00 | at most 0.5 in 1 of 3 |",
        "| nowhere | 1.00 | nan | - |  |",
        "| many | 1.00 | 5.000 ± 3.162 of 11 | quartiles 2.50 5.00 7.50 of 11 | +4.00 |",
    ]


def test_panels_show_every_curve_its_band_and_the_published_points(tmp_path):
    x = np.arange(5.0)
    lines = [
        Line("ours", x, np.ones((3, 5)), np.full((3, 5), 0.5), {"reward": (x, x), "cooperation": (x, x / 5)}),
        Line("others", x, np.zeros((1, 5)), np.zeros((1, 5))),
    ]
    pair = Pair("one pair", "phase", lines)
    draw(tmp_path / "figure", [[pair, pair], [pair]], "a title")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    text = (tmp_path / "figure.svg").read_text()
    assert text.count('id="FillBetweenPolyCollection_') == 6 and text.count("<svg") == 1  # two panels a pair
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.png", "figure.svg"]


def test_a_long_axis_is_labelled_in_thousands(tmp_path, monkeypatch):
    labels = {}

    def look(figure, path):
        figure.canvas.draw()
        labels[path.name] = [tick.get_text() for tick in figure.axes[0].get_xticklabels()]

    monkeypatch.setattr(panels, "save", look)
    for last in (40, 40_000):
        x = np.linspace(0, last, 5)
        panels.draw(tmp_path / str(last), [[Pair("", "iteration", [Line("ours", x, x[None], x[None])])]], "")
    assert "40" in labels["40"] and "40k" in labels["40000"] and "40000" not in labels["40000"]


@pytest.mark.parametrize(("last", "shared"), [(100, True), (101, False)])
def test_published_points_of_a_far_longer_training_have_an_axis_of_their_own(tmp_path, monkeypatch, last, shared):
    """Up to ten times as long they are where our axis has them; beyond, as far along as in their own training."""
    drawn = []
    monkeypatch.setattr(panels, "save", lambda figure, path: drawn.append(figure))
    points = np.array([last / 2, last]), np.array([0.1, 0.2])
    ours = np.array([0.0, 5.0, 10.0])
    line = Line("ours", ours, ours[None], ours[None], {"reward": points, "cooperation": points})
    panels.draw(tmp_path / "figure", [[Pair("", "iteration", [line])]], "")
    figure = drawn[0]
    figure.canvas.draw()
    assert len(figure.axes) == (2 if shared else 4)
    below, with_points = figure.axes[0], figure.axes[0 if shared else 2]
    np.testing.assert_array_equal(with_points.lines[-1].get_xdata(), points[0])
    at, end = (with_points.transData.transform((x, 0.1))[0] for x in points[0])
    middle_of_ours, end_of_ours = (below.transData.transform((x, 0.1))[0] for x in (5.0, 10.0))
    assert shared or np.allclose([at, end], [middle_of_ours, end_of_ours])
    assert with_points.get_xlabel() == ("iteration" if shared else "iteration, published")
    panels.plt.close(figure)


@pytest.mark.parametrize(
    ("spread", "low", "high"),
    [("deviation", 3 - np.sqrt(2), 3 + np.sqrt(2)), ("error", 3 - np.sqrt(0.5), 3 + np.sqrt(0.5)), ("quartiles", 2, 4)],
)
def test_bands_by_hand(spread, low, high):
    """Five seeds at 1 .. 5: mean and median 3, deviation sqrt 2, standard error sqrt(2.5 / 5)."""
    axis = panels.plt.figure().add_subplot()
    values = np.arange(1.0, 6)[:, None].repeat(2, 1)
    band = panels.Band("ours", np.array([0, 1]), values)
    panels.draw_bands(axis, panels.BandPanel("title", "x", "y", [band], spread))
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [low, high])
    np.testing.assert_allclose(axis.lines[0].get_ydata(), 3)
    panels.plt.close(axis.figure)
