"""Policy signatures as a table of colours."""

import numpy as np
import pytest

from coplayer.figures import signatures
from coplayer.games.matrix import MatrixGame


def rates(game, value=0.25):
    """Rates of two seeds and two learners, of which one situation was seen by nobody, and one by one learner alone."""
    joint = game.num_joint
    fields = {name: np.full((2, 2), value) for name in ("first_move", "after_defection", "after_cooperation")}
    fields |= {name: np.full((2, 2, joint), value) for name in ("early", "late")}
    fields["early"][..., 1] = np.nan
    fields["late"][..., 0] = np.nan
    fields["late"][0, 1, 0] = 1.0
    return fields


@pytest.mark.parametrize(
    ("game", "letters"),
    [
        (MatrixGame((1, 2, 3, 4)), ["CC", "CD", "DC", "DD"]),
        (MatrixGame((1, 2, 3, 4), cooperation=1), ["DD", "DC", "CD", "CC"]),
        (MatrixGame(np.eye(3)), [f"{own}{other}" for own in range(3) for other in range(3)]),
    ],
)
def test_a_row_per_opponent_and_a_column_per_situation(game, letters, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(signatures, "save", lambda figure, path: drawn.append(figure))
    rows = {"tit_for_tat": rates(game), "always_defect": rates(game, 0.75)}
    signatures.draw_signatures(tmp_path / "signature", rows, game=game, title="a title")
    axis = drawn[0].axes[0]
    labels = [tick.get_text() for tick in axis.get_xticklabels()]
    assert labels == [
        "first",
        *(f"{pair} early" for pair in letters),
        *(f"{pair} late" for pair in letters),
        *("after D", "after C"),
    ]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == ["tit for tat", "always defect"]
    cells = axis.images[0].get_array()
    assert cells.mask[:, 2].all() and cells.mask.sum() == 2  # nobody was in this situation
    assert cells[0, 1 + len(letters)] == 1.0  # the mean over those who were
    assert cells[1, 0] == 0.75
    signatures.plt.close(drawn[0])
