"""A run that is stopped anywhere and resumed ends with the same metrics and weights as one that was not."""

import errno
import functools
import json
import os
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import ppi_mixed, registry
from coplayer.runs import checkpoint, folder
from coplayer.settings import adjust
from stopping import StopAfter
from tiny import TINY, TINY_TOKEN

pytestmark = pytest.mark.usefixtures("compiled_once")


def outcome(path) -> dict:
    """All that a run's numbers are: metrics, every phase's weights, and the last state without its file's dates."""
    run = folder.RunFolder.open(path)
    agents = {file.name: checkpoint.load(file)[1] for file in sorted(run.agents.glob("*.npz"))}
    last = checkpoint.newest(run.checkpoints)
    return {"metrics": run.metrics_file.read_bytes(), "agents": agents, "step": last.step, "state": last.arrays}


def assert_equal(one: dict, other: dict) -> None:
    assert one["metrics"] == other["metrics"]
    assert one["step"] == other["step"]
    for left, right in [
        (one["state"], other["state"]),
        *zip(one["agents"].values(), other["agents"].values(), strict=True),
    ]:
        assert left.keys() == right.keys()
        for name in left:
            np.testing.assert_array_equal(left[name], right[name], err_msg=name)


@pytest.fixture(
    scope="module", params=[adjust(TINY, later_rollouts=3, later_from=3), TINY_TOKEN], ids=["round", "token"]
)
def config(request):
    return request.param


@pytest.fixture(scope="module")
def unbroken(config, tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "unbroken"
    registry.train(config, path)
    return path, outcome(path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What an unbroken run of TINY gives."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    registry.train(TINY, path)
    return outcome(path)


def test_metrics_have_a_row_for_every_phase_seed_and_learner(config, unbroken):
    rows = [row for row in folder.RunFolder.open(unbroken[0]).metrics() if "update" not in row]
    assert [(row["phase"], row["seed"], row["learner"]) for row in rows] == [
        (phase, seed, learner)
        for phase in range(1, config.run.phases + 1)
        for seed in range(config.run.seeds)
        for learner in (0, 1)
    ]


def test_the_same_seed_gives_the_same_run_and_another_seed_another(config, unbroken, tmp_path):
    registry.train(config, tmp_path / "again")
    assert_equal(outcome(tmp_path / "again"), unbroken[1])
    registry.train(adjust(config, seed=7), tmp_path / "other")
    other = outcome(tmp_path / "other")
    assert other["metrics"] != unbroken[1]["metrics"]
    seeds = {row["seed"] for row in folder.RunFolder.open(tmp_path / "other").metrics()}
    assert seeds == set(range(7, 7 + config.run.seeds))


@pytest.mark.parametrize("chunks", [1, 2, 4, 5, 7])
def test_stopped_between_chunks(config, unbroken, tmp_path, chunks):
    with pytest.raises(KeyboardInterrupt):
        registry.train(config, tmp_path / "run", reporter=StopAfter(chunks))
    registry.resume(tmp_path / "run")
    assert_equal(outcome(tmp_path / "run"), unbroken[1])


def test_stopped_after_the_metrics_and_before_the_checkpoint(config, unbroken, tmp_path, monkeypatch):
    def dies(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.train(config, tmp_path / "run", reporter=StopAfter(3))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpoint, "write", dies)
        registry.resume(tmp_path / "run")
    with open(tmp_path / "run" / "metrics.jsonl", "a") as file:
        file.write('{"phase": 2, "upd')  # and half a row
    registry.resume(tmp_path / "run")
    assert_equal(outcome(tmp_path / "run"), unbroken[1])


def test_resuming_a_finished_run_changes_nothing(unbroken):
    path, before = unbroken
    registry.resume(path)
    assert_equal(outcome(path), before)


COMMAND = """
import sys
sys.path.insert(0, {tests!r})
from tiny import TINY
from coplayer.experiments import ppi_mixed, registry
if sys.argv[1] == "train":
    registry.train(TINY, sys.argv[2])
else:
    registry.resume(sys.argv[2])
"""


def test_killed_by_the_system_at_any_moment(whole, tmp_path):
    """kill -9 twice, at moments that depend on the machine; every process is new."""
    command = COMMAND.format(tests=os.path.dirname(os.path.dirname(__file__)))

    def start(verb: str, path) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", command, verb, str(path)], stderr=subprocess.PIPE)

    broken, verb = tmp_path / "broken", "train"
    for kill in range(2):
        process = start(verb, broken)
        metrics = broken / "metrics.jsonl"
        size = metrics.stat().st_size if metrics.exists() else 0
        while process.poll() is None and (not metrics.exists() or metrics.stat().st_size <= size):
            time.sleep(0.002)
        time.sleep(0.003 * kill)
        process.kill()
        process.wait()
        verb = "resume"
    last = start("resume", broken)
    assert last.wait() == 0, last.stderr.read().decode()
    assert_equal(outcome(broken), whole)


def test_a_folder_that_exists_is_never_touched(tmp_path):
    (tmp_path / "keep.txt").write_text("mine")
    with pytest.raises(CoplayerError, match=r"out: .* exists already"):
        registry.train(TINY, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["keep.txt"]


def test_two_processes_cannot_train_in_one_folder(unbroken):
    run = folder.RunFolder.open(unbroken[0])
    with run.locked(), pytest.raises(CoplayerError, match="another process"):
        registry.resume(unbroken[0])


@pytest.mark.parametrize("damage", [lambda data: data[:-100], lambda data: b"", lambda data: b"PK" + data[2:200]])
def test_a_damaged_checkpoint_is_named_and_the_one_before_leads_to_the_same_end(whole, tmp_path, damage):
    with pytest.raises(KeyboardInterrupt):
        registry.train(TINY, tmp_path / "run", reporter=StopAfter(3))
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.npz"))[-1]
    newest.write_bytes(damage(newest.read_bytes()))
    with pytest.raises(
        CoplayerError, match=r"unreadable or cut short .*; remove it to go on from 00000002.npz"
    ) as error:
        registry.resume(tmp_path / "run")
    assert "\n" not in str(error.value)
    newest.unlink()
    registry.resume(tmp_path / "run")
    assert_equal(outcome(tmp_path / "run"), whole)


def test_one_flipped_byte_is_noticed(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        registry.train(TINY, tmp_path / "run", reporter=StopAfter(2))
    newest = sorted((tmp_path / "run" / "checkpoints").glob("*.npz"))[-1]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(bytes(data))
    with pytest.raises(CoplayerError, match="unreadable or cut short"):
        registry.resume(tmp_path / "run")


def test_a_full_disk_is_one_line_and_loses_nothing(whole, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        registry.train(TINY, tmp_path / "run", reporter=StopAfter(3))
    before = {path.name: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()}

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(CoplayerError, match="the disk is full") as error:
        patch.setattr(os, "fsync", full)
        registry.resume(tmp_path / "run")
    assert "\n" not in str(error.value)
    assert {path.name: path.read_bytes() for path in (tmp_path / "run" / "checkpoints").iterdir()} == before
    registry.resume(tmp_path / "run")
    assert_equal(outcome(tmp_path / "run"), whole)


def test_a_nan_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    config = adjust(TINY, learning_rate=1e38)
    with pytest.raises(
        CoplayerError, match="not a finite number in phase 1: stopped; no checkpoint had been saved yet"
    ):
        registry.train(config, tmp_path / "run")
    assert checkpoint.newest(tmp_path / "run" / "checkpoints") is None
    with pytest.raises(KeyboardInterrupt):
        registry.train(TINY, tmp_path / "saved", reporter=StopAfter(3))
    stored = json.loads((tmp_path / "saved" / "config.json").read_text())
    stored["settings"]["optimiser"]["learning_rate"] = 1e38
    (tmp_path / "saved" / "config.json").write_text(json.dumps(stored))
    with pytest.raises(CoplayerError, match="stopped; the last good checkpoint is kept"):
        registry.resume(tmp_path / "saved")
    saved = checkpoint.newest(tmp_path / "saved" / "checkpoints")
    assert all(np.isfinite(a).all() for a in saved.arrays.values())
    for row in folder.RunFolder.open(tmp_path / "run").metrics():
        assert all(np.isfinite(value) for value in row.values())


def test_a_run_without_its_checkpoints_is_left_as_it_is(tmp_path):
    """Who deletes them to save space does not lose the metrics by going on."""
    with pytest.raises(KeyboardInterrupt):
        registry.train(TINY, tmp_path / "run", reporter=StopAfter(3))
    for file in (tmp_path / "run" / "checkpoints").iterdir():
        file.unlink()
    before = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    with pytest.raises(CoplayerError, match="has the agents of 1 phases but no checkpoint to go on from"):
        registry.resume(tmp_path / "run")
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == before


def test_out_of_memory_is_one_line(tmp_path, monkeypatch):
    def greedy(_):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes")

    monkeypatch.setattr(ppi_mixed.Trainer(TINY), "initial_state", functools.partial(greedy, None), raising=True)
    with pytest.raises(CoplayerError, match="the device ran out of memory; lower --seed-batch"):
        registry.train(TINY, tmp_path / "run")


def test_config_holds_settings_and_provenance(config, unbroken):
    stored = json.loads((unbroken[0] / "config.json").read_text())
    assert stored["experiment"] == "ppi-mixed" and stored["format"] == 2
    assert stored["settings"]["network"]["hidden"] == config.network.hidden
    assert stored["settings"]["game"]["rounds"] == 6
    assert stored["random_numbers"] == "threefry2x32"
    assert {"jax", "equinox", "optax"} <= stored["packages"].keys()
    assert registry.settings_of_folder(folder.RunFolder.open(unbroken[0]))[1] == config
