"""Metrics sent to trackers, against metrics.jsonl, which is the record."""

import json
import sqlite3
import sys
from functools import partial

import pytest

from coplayer import cli
from coplayer.cli import main
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.runs import tracking
from coplayer.runs.folder import RunFolder
from coplayer.runs.tracking import Tracked
from coplayer.runs.training import Chunk
from stopping import StopAfter
from tiny import TINY_A2C

RATE = "timing/agent_steps_per_second"

pytestmark = pytest.mark.usefixtures("compiled_once")


class Notes:
    """A tracker that keeps all it is told."""

    MODULE = "json"
    opened: list

    def __init__(self, folder, name):
        self.name, self.told, self.closed = name, [], False
        self.opened.append(self)

    def log(self, values, step):
        self.told.append((step, values))

    def close(self):
        self.closed = True

    @property
    def metrics(self):
        return {
            (name, step): value
            for step, values in self.told
            for name, value in values.items()
            if not name.startswith("timing/")
        }


@pytest.fixture
def notes(monkeypatch):
    monkeypatch.setattr(Notes, "opened", [], raising=False)
    monkeypatch.setitem(tracking.TRACKERS, "notes", Notes)
    return Notes.opened


def recorded(path):
    """All numbers of metrics.jsonl, by the name and the step that a tracker has."""
    return {
        (f"{name}/learner_{row['learner']}/seed_{row['seed']}", row["iteration"]): value
        for row in RunFolder.open(path).metrics()
        for name, value in row.items()
        if name not in ("phase", "iteration", "seed", "learner")
    }


def test_a_tracker_gets_every_number(notes, tmp_path):
    out = tmp_path / "run"
    with Tracked(out, ["notes"]) as reporter:
        registry.train(TINY_A2C, out, reporter=reporter)
    (tracker,) = notes
    assert tracker.metrics == recorded(out) and tracker.closed
    rates = [values[RATE] for _, values in tracker.told if RATE in values]
    assert len(rates) == len(RunFolder.open(out).timing()) and min(rates) > 0


@pytest.mark.parametrize("before", [True, False], ids=["from the start", "only after the stop"])
def test_a_run_that_goes_on_is_the_same_run_there_and_whole(notes, tmp_path, before):
    out, stop = tmp_path / "run", StopAfter(2)
    with pytest.raises(KeyboardInterrupt), Tracked(out, ["notes"] if before else [], stop) as reporter:
        registry.train(TINY_A2C, out, reporter=reporter)
    with Tracked(out, ["notes"]) as reporter:
        registry.resume(out, reporter=reporter)
    together = {}
    for tracker in notes:
        assert tracker.closed
        assert all(together.get(name, value) == value for name, value in tracker.metrics.items())
        together |= tracker.metrics
    assert together == recorded(out)
    assert len(notes) == 1 + before and len({tracker.name for tracker in notes}) == 1
    if before:  # what it has already is not sent again, but for what came after the last checkpoint
        assert len(notes[1].metrics) < len(together)


def test_steps_of_phases_and_of_updates(notes, tmp_path):
    folder = RunFolder.create(tmp_path / "run", {"settings": {}})
    row = {"seed": 4, "learner": 1}
    with Tracked(folder.path, ["notes"]) as reporter:
        for phase in (1, 2):
            updates = [{"phase": phase, "update": 10 * k, **row, "loss": phase + k / 10} for k in (1, 2)]
            reporter.advanced(Chunk(None, updates, {}, None, phase), 0.1)
            reporter.advanced(Chunk(None, [{"phase": phase, **row, "reward": 5.0 * phase}], {}, None, phase), 0.1)
    losses = {("loss/learner_1/seed_4", step + 1): value for step, value in enumerate((1.1, 1.2, 2.1, 2.2))}
    rewards = {("reward/learner_1/seed_4", phase): 5.0 * phase for phase in (1, 2)}
    assert notes[0].metrics == losses | rewards


def test_a_tracker_that_fails_stops_the_run_with_one_line(notes, tmp_path, monkeypatch):
    def full(self, values, step):
        raise ConnectionError("no route\nto host")

    out = tmp_path / "run"
    with monkeypatch.context() as patch, Tracked(out, ["notes"]) as reporter:
        patch.setattr(Notes, "log", full)
        with pytest.raises(CoplayerError) as failed:
            registry.train(TINY_A2C, out, reporter=reporter)
    assert str(failed.value) == (
        f"log: notes failed (ConnectionError: no route); 'coplayer resume {out}' goes on without it"
    )
    assert registry.is_finished(registry.resume(out), TINY_A2C)


def test_one_that_fails_to_close_hides_no_earlier_error(notes, tmp_path, monkeypatch):
    """Every tracker is asked to close. The failure alone stops the command; after an error it is a note."""

    def full(self):
        self.closed = True
        raise ConnectionError("no route")

    monkeypatch.setattr(Notes, "close", full)
    monkeypatch.setitem(tracking.TRACKERS, "more", Notes)
    folder = RunFolder.create(tmp_path / "run", {"settings": {}})
    start = Chunk(None, [], {}, None, 1)
    with pytest.raises(KeyboardInterrupt) as earlier, Tracked(folder.path, ["notes", "more"]) as reporter:
        reporter.advanced(start, 0.5)
        raise KeyboardInterrupt
    assert [note[:17] for note in earlier.value.__notes__] == ["log: notes failed", "log: more failed "]
    with pytest.raises(CoplayerError, match="log: notes failed") as failed, Tracked(folder.path, ["notes"]) as reporter:
        reporter.advanced(start, 0.5)
    assert all(tracker.closed for tracker in notes) and len(notes) == 3 and not hasattr(failed.value, "__notes__")


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "trackio"])
def test_one_that_is_not_installed_is_named_before_the_run(tmp_path, monkeypatch, name, capsys):
    monkeypatch.setitem(sys.modules, name, None)
    assert main(["train", "a2c-mixed", "--out", str(tmp_path / "run"), "--log", name]) == 2
    assert f"log: {name} is not installed; pip install 'coplayer[{name}]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_unknown_one_and_a_damaged_file_are_refused(notes, tmp_path, capsys):
    assert main(["train", "a2c-mixed", "--out", str(tmp_path / "run"), "--log", "paper"]) == 2
    assert "tensorboard" in capsys.readouterr().err
    with pytest.raises(CoplayerError, match="log: must be of tensorboard, wandb, trackio"):
        Tracked(tmp_path, ["paper"])
    folder = RunFolder.create(tmp_path / "run", {"settings": {}})
    for text, message in (("{", "unreadable"), ('{"notes": 3}', "must be an object of names"), ("[]", "must be")):
        folder.tracking_file.write_text(text)
        with pytest.raises(CoplayerError, match=message):
            Tracked(folder.path, ["notes"]).advanced(Chunk(None, [], {}, None, 1), 0.5)


@pytest.fixture
def train_with(tmp_path, monkeypatch):
    """Trains from the command line with a tracker, without the evaluation at the end; gives what is recorded."""
    monkeypatch.setattr(cli, "finish", lambda folder, console: None)
    return partial(_train_with, tmp_path / "run")


def _train_with(out, name):
    flags = "--iterations 4 --log-every 1 --phases 2 --episodes 4 --hidden 4 --game.rounds 4 --tabular-iterations 0"
    assert main(["train", "a2c-mixed", *flags.split(), "--out", str(out), "--log", name]) == 0
    return recorded(out)


def test_tensorboard(tmp_path, train_with):
    pytest.importorskip("tensorboard", reason="needs coplayer[tensorboard]")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    known = train_with("tensorboard")
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"), size_guidance={"tensors": 0})
    events.Reload()
    found = {
        (name, event.step): make_ndarray(event.tensor_proto).item()
        for name in events.Tags()["tensors"]
        if not name.startswith("timing/")
        for event in events.Tensors(name)
    }
    assert found == pytest.approx(known, rel=1e-6)


def _records(data, block=32768, header=7):
    """The records of a file of wandb: pieces of a checksum (4 bytes), a length (2), a kind (1) and the content."""
    at, whole = header, b""
    while at + header <= len(data):
        if block - at % block < header:
            at += block - at % block
            continue
        length, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        whole += data[at + header : at + header + length]
        at += header + length
        if kind in (1, 4):  # a whole record, or its last piece
            yield whole
            whole = b""


def test_wandb_offline(tmp_path, monkeypatch, train_with):
    pytest.importorskip("wandb", reason="needs coplayer[wandb]")
    from wandb.proto.wandb_internal_pb2 import Record

    for name, value in {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    known, found = train_with("wandb"), {}
    (file,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    for record in map(Record.FromString, _records(file.read_bytes())):
        row = {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in record.history.item}
        found |= {(name, row["step"]): value for name, value in row.items() if "/learner_" in name}
    assert found == known


def test_trackio(tmp_path, monkeypatch, train_with):
    pytest.importorskip("trackio", reason="needs coplayer[trackio]")
    folder = tmp_path / "trackio"
    monkeypatch.setenv("TRACKIO_DIR", str(folder))
    for module in [name for name in sys.modules if name.partition(".")[0] == "trackio"]:
        monkeypatch.delitem(sys.modules, module)  # which reads the variable when it is imported
    known = train_with("trackio")
    rows = sqlite3.connect(folder / "coplayer.db").execute("select step, metrics from metrics").fetchall()
    found = {(name, step): value for step, row in rows for name, value in json.loads(row).items() if "/learner" in name}
    assert found == known
