"""The scoreboard of results/ is what its rows and the results pages say."""

from pathlib import Path

import pytest

from tool import tool

ROOT = Path(__file__).parent.parent
scoreboard = tool("scoreboard")

TABLE = """
| quantity | paper | ours (mean ± sd) | 95% interval | n | by seed | verdict |
| --- | --- | --- | --- | --- | --- | --- |
| a | 0.90 | 0.700 ± 0.200 | 0.500 to 0.850 | 5 | 0.90 0.90 0.70 0.40 0.60 | at least 0.8 in 2 of 5 |
| few |  | 0.700 ± 0.200 | 0.600 to 0.800 | 2 | 0.60 0.80 |  |
| b |  | 0.700 ± 0.200 | 0.650 to 0.750 | 32 | quartiles 0.60 0.70 0.80 of 32 | at most 0.8 in 26 of 32 |
"""


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_the_page_is_up_to_date():
    assert scoreboard.scoreboard() == (ROOT / "results" / "README.md").read_text(encoding="utf-8"), "run make results"


@pytest.mark.parametrize(
    ("quantity", "rule", "verdict"),
    [
        ("a", {"at_least": 0.8}, "short: at least 0.8 in 2 of 5"),
        ("a", {"at_least": 0.6}, "comes out: at least 0.6 in 4 of 5"),
        ("a", {"at_most": 0.85}, "short: at most 0.85 in 3 of 5"),
        ("a", {"at_least": 0.7, "mean": True}, "comes out: mean at least 0.7 asked"),
        ("a", {"at_least": 0.51, "interval": True}, "short: interval at least 0.51 asked"),
        ("a", {"at_least": 0.49, "interval": True}, "comes out: interval at least 0.49 asked"),
        ("a", {"at_least": 0.5, "interval": True}, "short: interval at least 0.5 asked"),  # rounded to the bound
        ("a", {"at_least": 0.5, "at_most": 0.7}, "short: 0.5 to 0.7 in 2 of 5"),
        ("a", {"short": "another protocol"}, "short: another protocol"),
        ("few", {"at_least": 0.5}, "open: at least 0.5 in 2 of 2"),
        ("b", {"at_most": 0.8}, "comes out: at most 0.8 in 26 of 32"),
    ],
)
def test_a_verdict_follows_from_the_seeds_the_mean_or_the_interval(page, quantity, rule, verdict):
    assert scoreboard.verdict(rule | {"page": "page.md"}, scoreboard.found(page, quantity)) == verdict


def test_what_a_table_does_not_say_is_refused(page):
    with pytest.raises(SystemExit, match="does not say how many seeds"):
        scoreboard.verdict({"at_most": 0.7, "page": "p", "quantity": "b"}, scoreboard.found(page, "b"))
    with pytest.raises(SystemExit, match="no table has the quantity 'c'"):
        scoreboard.found(page, "c")
