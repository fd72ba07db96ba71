"""Tables of the paper's values beside ours."""

import numpy as np

from coplayer.analysis.statistics import compare
from coplayer.figures.parity import Quantity, brief, comparison, table


def test_table_by_hand():
    rows = [
        Quantity("cooperation", 0.9, np.array([0.7, 0.9]), at_least=0.8),
        Quantity("reward", 0.5, np.array([0.75, 0.75])),
        Quantity("other", None, np.array([1.0])),
        Quantity("slope", 1.0, np.array([0.5, np.nan, 1.0]), at_most=0.5),
        Quantity("nowhere", 1.0, np.array([np.nan])),
        Quantity("many", 1.0, np.r_[np.nan, np.arange(11.0)]),
    ]
    assert table(rows).splitlines() == [
        "| quantity | paper | ours (mean ± sd) | 95% interval | n | by seed | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| cooperation | 0.90 | 0.800 ± 0.141 | 0.700 to 0.900 | 2 | 0.70 0.90 | at least 0.8 in 1 of 2 |",
        "| reward | 0.50 | 0.750 ± 0.000 | 0.750 to 0.750 | 2 | 0.75 0.75 | +0.25 |",
        "| other |  | 1.000 |  | 1 | 1.00 |  |",
        "| slope | 1.00 | 0.750 ± 0.354 | 0.500 to 1.000 | 2 | 0.50 - 1.00 | at most 0.5 in 1 of 3 |",
        "| nowhere | 1.00 | nan |  | 0 | - |  |",
        "| many | 1.00 | 5.000 ± 3.317 | 3.091 to 6.909 | 11 | quartiles 2.50 5.00 7.50 of 11 | +4.00 |",
    ]


def test_a_brief_table_lacks_details_and_empty_columns():
    alone = table([Quantity("reward", 0.5, np.array([0.75])), Quantity("other", None, np.array([1.0]))])
    assert brief(alone).splitlines() == [
        "| quantity | paper | ours (mean ± sd) | verdict |",
        "| --- | --- | --- | --- |",
        "| reward | 0.50 | 0.750 | +0.25 |",
        "| other |  | 1.000 |  |",
    ]
    several = table([Quantity("other", None, np.array([1.0, 3.0]))])
    assert brief(several).splitlines()[2:] == ["| other | 2.000 ± 1.414 | 1.000 to 3.000 |"]
    assert brief(f"Phase 3.\n\n{several}") == f"Phase 3.\n\n{brief(several)}"


def test_methods_are_compared_where_there_are_two():
    rows = [
        Quantity("A: one, reward", None, np.array([1.0, 2.0]), of_method=("reward", "one")),
        Quantity("A: two, reward", None, np.array([0.0, 1.5]), of_method=("reward", "two")),
        Quantity("A: one, apples", None, np.array([0.0, 1.5]), of_method=("apples", "one")),
        Quantity("other", None, np.array([0.0, 1.5])),
    ]
    assert comparison(rows) == compare({"one": [1.0, 2.0], "two": [0.0, 1.5]}).table("reward")
    assert comparison(rows[2:]) == ""
