"""Fingerprints as pictures: a square for each player, in the colours of one scale."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coplayer.figures import fingerprints


@pytest.mark.parametrize("count", [1, 6])
def test_squares_show_the_rewards_by_x_and_y_on_one_scale(count, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(fingerprints, "save", lambda figure, path: drawn.append(figure))
    found = {f"player {i}": np.arange(9.0).reshape(3, 3) + 10 * i for i in range(count)}
    fingerprints.draw_fingerprints(tmp_path / "fingerprints", found, "a title")
    (figure,) = drawn
    shown = [axis for axis in figure.axes if axis.images]
    assert [axis.get_title() for axis in shown] == list(found)
    for axis, rewards in zip(shown, found.values(), strict=True):
        (picture,) = axis.images
        np.testing.assert_array_equal(picture.get_array(), rewards.T)  # rows are y, from below
        assert picture.origin == "lower" and picture.get_extent() == [-0.25, 1.25, -0.25, 1.25]
        assert picture.get_clim() == (0, 10 * count - 2)
    assert len([axis for axis in figure.axes if axis.axison]) == count + 1  # and the colour bar
    plt.close(figure)
