"""The examples run: cut short, so that their outcome is not tested."""

import runpy
from pathlib import Path

EXAMPLES = Path(__file__).parents[1] / "examples"


def test_a_meta_agent_meets_a_learning_rule_of_ones_own(capsys):
    example = runpy.run_path(str(EXAMPLES / "your_own_learning_rule.py"))
    example["main"].__globals__["ITERATIONS"] = 2
    example["main"]()
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("iteration 0: reward a round ")
    assert len(last.partition(": ")[2].split()) == example["INNER_EPISODES"]
