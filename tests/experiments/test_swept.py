"""One job of a sweep in its process: what is told of how it stands and of how it ended. Trainings by jobs are in
test_sweep.py.
"""

import json
import os
import signal
from pathlib import Path

import pytest

from coplayer.experiments import swept
from coplayer.experiments.swept import Status, status_of
from coplayer.runs.training import Chunk

CHUNK = Chunk(None, [], {}, None, 1)


@pytest.fixture
def job(tmp_path, monkeypatch):
    """Trains a job whose training does `what`, and gives the handler of SIGINT back."""
    handler = signal.getsignal(signal.SIGINT)
    given = {name: str(tmp_path / name) for name in ("folder", "status", "log")} | {"own_cores": False}

    def trained(what):
        monkeypatch.setattr(swept, "_train", what)
        return swept.train(given), status_of(tmp_path / "status")

    yield trained
    signal.signal(signal.SIGINT, handler)


def fails(job, folder, status):
    raise ValueError("two\nlines")


def stops(job, folder, status):
    signal.raise_signal(signal.SIGINT)


def trains(job, folder, status):
    status.advanced(CHUNK, 0.25)


@pytest.mark.parametrize(
    ("what", "result"),
    [
        (trains, {"state": "done"}),
        (stops, {"state": "stopped"}),
        (fails, {"state": "failed", "error": "ValueError: two"}),
    ],
)
def test_a_job_ends_with_its_state(job, tmp_path, what, result):
    ended, stands = job(what)
    assert ended == result and stands.items() >= result.items()
    assert stands["progress"] == (0.25 if what is trains else 0) and stands["pid"] == os.getpid()
    log = Path(tmp_path / "log")
    assert log.exists() == (what is fails) and (what is not fails or "Traceback" in log.read_text())


def test_a_status_is_written_at_most_once_a_second(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(swept.time, "monotonic", lambda: now[0])
    status = Status(tmp_path / "status")
    found = []
    for now[0], progress in ((100.5, 0.1), (100.9, 0.2), (101.5, 0.3)):
        status.advanced(CHUNK, progress)
        found.append(status_of(tmp_path / "status"))
    assert [(each["progress"], each["seconds"], each["state"]) for each in found] == [
        *[(0.1, 0.5, "running")] * 2,
        (0.3, 1.5, "running"),
    ]


@pytest.mark.parametrize("text", [None, "", "{", "[1]", json.dumps("done")])
def test_no_status_and_a_damaged_one_are_nothing(tmp_path, text):
    if text is not None:
        (tmp_path / "status").write_text(text)
    assert status_of(tmp_path / "status") == {}
