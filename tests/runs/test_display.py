import io

import numpy as np
from rich.console import Console

from coplayer.runs.display import COLUMNS, LINES, Display, curve
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


def test_a_curve_has_a_bar_for_each_value():
    rows = curve([0.0, 0.5, 1.0, 2.0], 0.0, 1.0).splitlines()
    wide = COLUMNS // 4
    assert len(rows) == LINES and all(len(row) == 4 * wide for row in rows)
    columns = ["".join(row[at] for row in rows) for at in range(wide - 1, 4 * wide, wide)]
    half = LINES // 2
    assert columns == [" " * LINES, " " * half + "█" * half, "█" * LINES, "█" * LINES]


def test_a_long_curve_shows_means_of_values_in_a_row():
    rows = curve([0.0, 1.0] * COLUMNS, 0.0, 1.0).splitlines()
    assert rows[-1] == "█" * COLUMNS and rows[0] == " " * COLUMNS


def test_a_terminal_shows_the_curve_of_cooperation_over_the_phases():
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    with Display(console, "a run") as display:
        for phase, value in enumerate((0.0, 0.25, 1.0), start=1):
            both = (value, value)
            display.advanced(chunk(phase, done=True, reward_vs_learner=(5.0, 5.0), cooperation_vs_learner=both), 0.3)
            display.advanced(chunk(phase, done=False, loss=(1.0, 1.0)), 0.3)
    shown = out.getvalue()
    assert "cooperation vs learner, 0.00 to 1.00; now 1.00" in shown
    assert curve([0.0, 0.25, 1.0], 0.0, 1.0).splitlines()[0].strip() in shown.split("now 1.00")[-1]


def test_a_reward_is_drawn_between_its_extremes():
    out = io.StringIO()
    with Display(Console(file=out, width=100, force_terminal=True, color_system=None), "a run") as display:
        for value in (-1.0, 3.0):
            display.advanced(chunk(1, done=False, reward_vs_naive=(value, value)), 0.3)
    assert "reward vs naive, -1.00 to 3.00; now 3.00" in out.getvalue()
