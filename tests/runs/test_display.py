import io

import numpy as np
from rich.console import Console

from coplayer.runs.display import Display
from coplayer.runs.training import Chunk


def chunk(phase: int, *, done: bool, **metrics: tuple[float, float]) -> Chunk:
    """Of one learner and two seeds."""
    rows = [
        {
            "phase": phase,
            "iteration": 1,
            "seed": seed,
            "learner": 0,
            **{name: both[seed] for name, both in metrics.items()},
        }
        for seed in range(2)
    ]
    agents = {"weights": np.zeros(1)} if done else None
    return Chunk(state=None, rows=rows, phase=phase, agents=agents, timing={"steps_per_second": 10.0})


def lines(chunks: list[Chunk]) -> list[str]:
    out = io.StringIO()
    with Display(Console(file=out, width=200, force_terminal=False), "a run") as display:
        for i, one in enumerate(chunks):
            display.advanced(one, i / len(chunks))
    return out.getvalue().splitlines()


def test_a_line_a_phase_with_means_over_seeds():
    """A phase's chunks may measure different things."""
    shown = lines([chunk(1, done=False, loss=(1.0, 2.0)), chunk(1, done=True, reward=(0.25, 0.5))])
    assert len(shown) == 1
    assert shown[0].startswith("phase 1: loss 1.500, reward 0.375")


def test_what_is_no_longer_measured_is_no_longer_shown():
    """As where learners first meet tabular players alone."""
    shown = lines([chunk(1, done=True, alone=(1.0, 1.0), loss=(3.0, 3.0)), chunk(2, done=True, loss=(4.0, 4.0))])
    assert "alone 1.000" in shown[0]
    assert "alone" not in shown[1] and "loss 4.000" in shown[1]
