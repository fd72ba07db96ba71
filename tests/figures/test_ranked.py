"""Places among others: where the dots are, and which names are told."""

import matplotlib.pyplot as plt
import numpy as np

from coplayer.figures import ranked
from coplayer.figures.ranked import Place

OTHERS = {"middle": 0.5, "worst": -1.0, "best": 2.0, "good": 1.0}


def test_ours_are_at_the_places_that_their_rewards_have(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(ranked, "save", lambda figure, path: drawn.append(figure))
    ours = [Place("first", np.array([-2.0, 0.75])), Place("second", np.array([3.0]))]
    panel = ("a panel", OTHERS, ours)
    rewards, excess = {"first": np.array([0.5, 2.0])}, {"known": np.array([0.3, 0.1])}
    ranked.draw_places(tmp_path / "places", [panel, ("another", OTHERS, ours[:1])], rewards, "a title", excess)
    (figure,) = drawn
    axis, other, below, last = figure.axes
    theirs, first, second = axis.lines
    np.testing.assert_array_equal(theirs.get_xydata(), [[0, -1.0], [1, 0.5], [2, 1.0], [3, 2.0]])
    np.testing.assert_array_equal(first.get_xydata(), [[0, -2.0], [2, 0.75]])  # worse than all; better than two
    np.testing.assert_array_equal(second.get_xydata(), [[4, 3.0]])
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["first", "second"]
    named = {text.get_text(): text.xy for text in axis.texts}
    assert named == {"best": (3, 2.0), "good": (2, 1.0), "middle": (1, 0.5)}
    assert axis.get_title() == "a panel" and len(other.lines) == 2
    (line,) = below.lines
    np.testing.assert_array_equal(line.get_xydata(), [[1, 0.5], [2, 2.0]])
    np.testing.assert_array_equal(last.lines[0].get_xydata(), [[1, 0.3], [2, 0.1]])
    plt.close(figure)
