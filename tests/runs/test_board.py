"""The jobs of a sweep, on a terminal and elsewhere."""

import io

from rich.console import Console

from coplayer.runs.board import Line, LiveBoard


def test_elsewhere_a_line_per_change():
    job = Line("a")
    out = io.StringIO()
    with LiveBoard(Console(file=out, width=100)) as board:
        board.show([job, Line("b")])
        for news in (
            {"state": "running", "host": "node1", "progress": 0.1},
            {"progress": 0.5, "pid": 7},
            {"state": "waiting"},
            {"state": "running", "host": "node2"},
            {"state": "done", "seconds": 12.3},
        ):
            job.take(news)
            board.show([job, Line("b")])
        board.show([job, Line("b", "failed", error="[no] luck")])
    assert out.getvalue().splitlines() == [
        *("a: running on node1", "a: waiting", "a: running on node2", "a: done in 12 s", "b: failed: [no] luck"),
    ]


def test_on_a_terminal_a_table_with_what_needs_a_look_first():
    lines = [
        Line("one", "done", 1.0, 30.0, "node1"),
        Line("two", "running", 0.5, 20.0, "node2", restarts=1),
        Line("three", "failed", 0.25, error="[no] luck"),
        Line("four"),
        Line("five", "stopped", 0.75),  # its process is about to end
    ]
    out = io.StringIO()
    with LiveBoard(Console(file=out, force_terminal=True, width=100, height=20, color_system=None)) as board:
        board.show(lines)
    text = out.getvalue()
    assert "5 jobs: 1 done, 1 waiting, 1 stopped, 1 failed, 1 running; 50% of the work" in text
    rows = [line.split() for line in text.splitlines()]
    assert ["two", "running", "50%", "20", "1", "node2"] in rows
    assert ["three", "failed", "25%", "0", "0", "[no]", "luck"] in rows
    places = [text.rindex(f" {name} ") for name in ("two", "three", "five", "four", "one")]
    assert places == sorted(places)
