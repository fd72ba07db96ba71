"""SIGTERM: a training saves at the end of the running chunk, and goes on later to the same numbers."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from coplayer import cli
from coplayer.experiments import registry
from coplayer.runs.files import append
from coplayer.runs.folder import RunFolder
from coplayer.runs.stopping import STATUS, HeldSignals, Stopped
from coplayer.runs.training import Silence
from coplayer.settings import adjust
from stopping import assert_same
from tiny import TINY_A2C

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs the signals of POSIX")
SAVED_ONCE = adjust(TINY_A2C, seeds=1, phases=1, checkpoint_seconds=1e6)
LONG = adjust(SAVED_ONCE, iterations=600, log_every=2)
COMMAND = """
import sys
sys.path.insert(0, {tests!r})
from coplayer import cli
from coplayer.experiments import registry
from runs.test_stopping import LONG
recipe = registry.RECIPES["a2c-mixed"]
registry.RECIPES["a2c-mixed"] = recipe._replace(presets=dict(recipe.presets, quick=LONG))
sys.exit(cli.main(sys.argv[1:]))
"""


class SignalAfter(Silence):
    """Sends this process a signal after so many chunks."""

    def __init__(self, number, chunks):
        self.number, self.left = number, chunks

    def advanced(self, chunk, progress):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.usefixtures("compiled_once")
def test_a_training_is_saved_where_no_checkpoint_was_due_and_goes_on_to_the_same_bits(tmp_path):
    config = SAVED_ONCE
    with pytest.raises(Stopped, match="stopped by SIGTERM; all is saved") as stop:
        registry.train(config, tmp_path / "run", reporter=SignalAfter(signal.SIGTERM, 1))
    assert stop.value.folder == tmp_path / "run" and not isinstance(stop.value, Exception)
    assert [file.name for file in (tmp_path / "run" / "checkpoints").iterdir()] == ["00000002.npz"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    append(tmp_path / "run" / "timing.jsonl", b'{"step": 3, "sec')  # as of a machine that was cut off
    registry.resume(tmp_path / "run")
    assert [row["step"] for row in RunFolder(tmp_path / "run").timing()][:2] == [1, 2]
    registry.train(config, tmp_path / "whole")
    assert_same(tmp_path / "run", tmp_path / "whole")


@pytest.fixture
def default_sigint():
    """Python's own handler; a shell's background job begins without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("compiled_once")
def test_who_handles_a_signal_hears_of_it_once_all_is_saved(tmp_path, monkeypatch):
    """As submitit does, which puts a job back into the queue at USR2."""
    saved, before = [], signal.getsignal(signal.SIGUSR2)
    folder = RunFolder(tmp_path / "run")
    signal.signal(signal.SIGUSR2, lambda number, frame: saved.append((number, len(list(folder.checkpoints.iterdir())))))
    try:
        config = SAVED_ONCE
        registry.train(config, folder.path, reporter=SignalAfter(signal.SIGUSR2, 1))
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert saved == [(signal.SIGUSR2, 1)] and folder.phases() == [1]  # and the training went on


def test_signals_that_nobody_asked_for_are_left_alone(default_sigint):
    with HeldSignals(Path("run")) as held:
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGUSR2) is signal.SIG_DFL
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert held.came == []


def test_a_signal_after_the_last_chunk_is_delivered_and_an_error_comes_first():
    with pytest.raises(Stopped), HeldSignals(Path("run")):
        signal.raise_signal(signal.SIGTERM)
    with pytest.raises(KeyError), HeldSignals(Path("run")):
        signal.raise_signal(signal.SIGTERM)
        raise KeyError
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_of_two_signals_none_is_lost():
    """Slurm sends USR2 some time before TERM: the job is put back into the queue, and stops."""
    heard, before = [], signal.getsignal(signal.SIGUSR2)
    signal.signal(signal.SIGUSR2, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(Stopped), HeldSignals(Path("run")):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGUSR2)
            assert heard == []
    finally:
        signal.signal(signal.SIGUSR2, before)
    assert heard == [signal.SIGUSR2]


def test_before_and_after_a_training_the_command_exits_with_75_too(tmp_path, monkeypatch, capsys):
    def last_words(*words):
        assert cli.main(list(words)) == STATUS
        return capsys.readouterr().err.splitlines()[-1].split("'")[1]

    folder = str(tmp_path / "run")
    monkeypatch.setattr(cli.hosts, "disconnect", lambda: pytest.fail("the others may not stop"))
    with monkeypatch.context() as patch:
        patch.setattr(registry, "train", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
        assert last_words("train", "a2c-mixed", "--out", folder) == f"coplayer train a2c-mixed --out {folder}"
    registry.train(SAVED_ONCE, tmp_path / "run")
    (tmp_path / "run" / "summary.md").touch()  # the report is not written yet
    monkeypatch.setattr(registry, "resume", lambda *_, **__: None)
    monkeypatch.setattr(cli, "finish", lambda *_: signal.raise_signal(signal.SIGTERM))
    assert last_words("resume", folder) == f"coplayer resume {folder}"
    monkeypatch.setattr(registry, "train", lambda *_, **__: None)
    assert last_words("train", "a2c-mixed", "--out", folder) == f"coplayer resume {folder}"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_command_that_cannot_go_on_does_not_say_so(tmp_path, monkeypatch, capsys):
    def interrupted(*_):
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.JOBS, cli.Archive, interrupted)
    assert cli.main(["archive", str(tmp_path), "--out", str(tmp_path / "out")]) == 130
    assert capsys.readouterr().err == "coplayer: stopped\n"


def test_a_thread_holds_nothing():
    handlers = []

    def look():
        with HeldSignals(Path("run")):
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.SIG_DFL]


@pytest.mark.usefixtures("compiled_once")
def test_the_command_exits_with_75_and_says_how_to_go_on(tmp_path):
    """A real process, at a moment that depends on the machine."""
    words = ["train", "a2c-mixed", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-c", COMMAND.format(tests=str(Path(__file__).parents[1])), *words]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while process.poll() is None and not (metrics.exists() and metrics.stat().st_size):
        time.sleep(0.002)
    process.terminate()
    said = process.communicate()[1]
    assert process.returncode == STATUS == 75, said
    go_on = f"coplayer resume {tmp_path}/run"
    assert said.splitlines()[-1] == f"coplayer: stopped by SIGTERM, all is saved; '{go_on}' goes on"
    assert not RunFolder(tmp_path / "run").phases()
    registry.resume(tmp_path / "run")
    registry.train(LONG, tmp_path / "whole")
    assert_same(tmp_path / "run", tmp_path / "whole")
