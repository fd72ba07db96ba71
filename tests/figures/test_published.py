"""Published points."""

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.figures import published


def test_published_points_are_those_of_the_figure():
    x, y = published.curve("1A", "cooperation_rate", "ppi_vs_ppi")
    assert (np.diff(x) > 0).all()
    assert dict(zip(x, y, strict=True))[8] == 0.41
    with pytest.raises(CoplayerError, match="curve: no published points for panel 9Z"):
        published.curve("9Z", "cooperation_rate", "ppi_vs_ppi")


def test_a_curve_without_points_is_known_to_have_none():
    assert published.has_curve("1A", "cooperation_rate", "ppi_vs_ppi")
    assert not published.has_curve("1A", "cooperation_rate", "nobody")
