"""Panels of curves with their bands."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from coplayer.figures import panels
from coplayer.figures.panels import Band, BandPanel, Line, Panels, draw, row_of, small_png


def line(label, x, reward, cooperation, published=None):
    return Line(label, x, {"reward": reward, "cooperation": cooperation}, published)


def test_panels_show_every_curve_its_band_and_the_published_points(tmp_path):
    x = np.arange(5.0)
    lines = [
        line("ours", x, np.ones((3, 5)), np.full((3, 5), 0.5), {"reward": (x, x), "cooperation": (x, x / 5)}),
        line("others", x, np.zeros((1, 5)), np.zeros((1, 5))),
    ]
    pair = Panels("one pair", "phase", lines)
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
        panels.draw(tmp_path / str(last), [[Panels("", "iteration", [line("ours", x, x[None], x[None])])]], "")
    assert "40" in labels["40"] and "40k" in labels["40000"] and "40000" not in labels["40000"]


@pytest.mark.parametrize(("last", "shared"), [(100, True), (101, False)])
def test_published_points_of_a_far_longer_training_have_an_axis_of_their_own(tmp_path, monkeypatch, last, shared):
    """Up to ten times as long they are where our axis has them; beyond, as far along as in their own training."""
    drawn = []
    monkeypatch.setattr(panels, "save", lambda figure, path: drawn.append(figure))
    points = np.array([last / 2, last]), np.array([0.1, 0.2])
    ours = np.array([0.0, 5.0, 10.0])
    curve = line("ours", ours, ours[None], ours[None], {"reward": points, "cooperation": points})
    panels.draw(tmp_path / "figure", [[Panels("", "iteration", [curve])]], "")
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


def test_a_game_has_a_panel_for_each_measure(tmp_path, monkeypatch):
    """Rates have the range of rates; other measures have their own."""
    drawn = []
    monkeypatch.setattr(panels, "save", lambda figure, path: drawn.append(figure))
    x = np.arange(3.0)
    values = {"reward": x[None], "saving": x[None] / 4, "coins_left": 10 * x[None]}
    panels.draw(tmp_path / "figure", [[Panels("", "round", [Line("ours", x, values)])]], "")
    reward, saving, coins = drawn[0].axes
    assert [axis.get_ylabel() for axis in drawn[0].axes] == ["mean reward per round", "saving", "coins left"]
    assert saving.get_ylim() == (-0.03, 1.03) and coins.get_ylim()[1] > 10 and reward.get_ylim()[1] < 3
    panels.plt.close(drawn[0])
    values = dict.fromkeys(("reward", *"abcdef"), x[None])
    panels.draw(tmp_path / "figure", [[Panels("", "round", [Line("ours", x, values)])]], "")
    assert len(drawn[1].axes) == panels.MOST_PANELS
    panels.plt.close(drawn[1])


def test_numbers_of_a_row_of_panels_are_written_beside_it(tmp_path):
    band = panels.Band("ours", np.array([0, 1]), np.array([[0.0, 1.0], [2.0, 3.0]]))
    panels.draw_row(tmp_path / "figure", [panels.BandPanel("title", "x", "y", [band])], "a title", log=True)
    assert (tmp_path / "figure.csv").read_text().splitlines() == [
        "panel,y,curve,x,repetition 1,repetition 2",
        "title,y,ours,0,0,2",
        "title,y,ours,1,1,3",
    ]
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("spread", "low", "high"),
    [
        ("deviation", 3 - np.sqrt(2.5), 3 + np.sqrt(2.5)),
        ("error", 3 - np.sqrt(0.5), 3 + np.sqrt(0.5)),
        ("quartiles", 2, 4),
    ],
)
def test_bands_by_hand(spread, low, high):
    """Five seeds at 1 .. 5: mean and median 3, deviation sqrt(2.5), standard error sqrt(2.5 / 5)."""
    axis = panels.plt.figure().add_subplot()
    values = np.arange(1.0, 6)[:, None].repeat(2, 1)
    band = panels.Band("ours", np.array([0, 1]), values)
    panels.draw_bands(axis, panels.BandPanel("title", "x", "y", [band], spread))
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    np.testing.assert_allclose([heights.min(), heights.max()], [low, high])
    np.testing.assert_allclose(axis.lines[0].get_ydata(), 3)
    panels.plt.close(axis.figure)


def test_a_small_picture_looks_the_same():
    rng = np.random.default_rng(0)
    panel = BandPanel("title", "x", "y", [Band(str(i), np.arange(5), rng.random((3, 5))) for i in range(4)])
    figure, _ = row_of([panel])
    whole = io.BytesIO()
    figure.savefig(whole, format="png", dpi=150)
    plt.close(figure)
    small = small_png(whole.getvalue())
    one, two = (np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), float) for data in (whole.getvalue(), small))
    assert len(small) < 0.6 * len(whole.getvalue()) and one.shape == two.shape
    assert np.abs(one - two).mean() < 0.5 and (np.abs(one - two).max(-1) > 32).mean() < 1e-3  # of 255
