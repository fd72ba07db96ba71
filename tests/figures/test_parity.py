"""Tables of the paper's values beside ours."""

import numpy as np

from coplayer.figures.parity import Quantity, table


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
