"""The host's side of training: chunks, metrics, checkpoints, progress, and resuming after a stop.

A training is a pure function of its settings, cut into chunks. Its metrics and weights do not depend on where the run
was stopped, nor on how often its state was saved.

Several processes may run one training (see `runs.hosts`). All of them compute. Process 0 reads and writes the folder.
"""

import contextlib
import time
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from coplayer.errors import CoplayerError, first_line, require
from coplayer.runs import checkpoint, hosts
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder, append_rows, keep_rows
from coplayer.runs.stopping import HeldSignals, Stopped


class Chunk(NamedTuple):
    """The results of one chunk of training."""

    state: Any
    rows: list[dict]  # for metrics.jsonl
    timing: dict  # for timing.jsonl, seconds added by the host
    agents: dict[str, np.ndarray] | None  # weights to keep, at the end of a phase
    phase: int


@runtime_checkable
class Training(Protocol):
    """A training as the host runs it: a state that advances chunk by chunk to the end."""

    def initial_state(self) -> Any:
        """The state before the first chunk."""

    def finished(self, state: Any) -> bool:
        """Whether no chunk is left."""

    def progress(self, state: Any) -> float:
        """Share of the work done, in [0, 1]."""

    def advance(self, state: Any) -> Chunk:
        """One chunk of training. May consume the arrays of `state`."""

    def pack(self, state: Any) -> dict[str, np.ndarray]:
        """The state as arrays, compact."""

    def unpack(self, arrays: dict[str, np.ndarray]) -> Any:
        """The inverse of `pack`."""


@runtime_checkable
class Reporter(Protocol):
    """Shows the progress of a run to its user."""

    def resumed(self, chunk: int) -> None:
        """The run goes on after this many chunks."""

    def advanced(self, chunk: Chunk, progress: float) -> None:
        """A chunk is done; `progress` is the share of the work done, in [0, 1]."""


class Silence:
    """A `Reporter` that shows nothing."""

    def resumed(self, chunk: int) -> None:
        pass

    def advanced(self, chunk: Chunk, progress: float) -> None:
        pass


def train(training: Training, folder: RunFolder, reporter: Reporter, *, checkpoint_seconds: float) -> None:
    """Run a training to its end in `folder`, from its newest checkpoint if it has one.

    The state is saved at the end of each phase and whenever `checkpoint_seconds` have passed since the last time. After
    SIGTERM it is saved at the end of the running chunk, and `runs.stopping.Stopped` is raised.

    Of several processes, all call this. An error of process 0 with the folder, or with the reporter, is one of all;
    and all stop where one has got SIGTERM.
    """
    with contextlib.ExitStack() as within:
        with hosts.together():
            if hosts.is_first():
                within.enter_context(folder.locked())
        held = within.enter_context(HeldSignals(folder.path))
        try:
            _train(training, folder, reporter, checkpoint_seconds, held)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" in str(error):
                raise CoplayerError(
                    "the device ran out of memory; lower --seed-batch or the episodes played at a time, then resume "
                    f"{folder.path}"
                ) from error
            if not hosts.several():
                raise
            raise CoplayerError(
                f"another process has stopped, or cannot be reached ({first_line(error)}); then resume {folder.path}"
            ) from error


def _train(
    training: Training, folder: RunFolder, reporter: Reporter, checkpoint_seconds: float, held: HeldSignals
) -> None:
    first, saved = hosts.is_first(), _newest(folder)
    state = training.unpack(saved.arrays) if saved else training.initial_state()
    hosts.meet(state)
    step, rows = (saved.step, saved.rows) if saved else (0, 0)
    with hosts.together():
        if first:
            keep_rows(folder.metrics_file, rows)
            keep_rows(folder.timing_file)
        if first and saved:
            reporter.resumed(step)

    last_save = time.monotonic()
    while not training.finished(state):
        begin = time.monotonic()
        chunk = training.advance(state)
        state, step, rows = chunk.state, step + 1, rows + len(chunk.rows)
        with hosts.together():
            if first:
                _record(folder, chunk, {"step": step, "seconds": time.monotonic() - begin, **chunk.timing})
        stop = hosts.any_says(bool(held.came))
        late = hosts.first_says(time.monotonic() - last_save >= checkpoint_seconds)
        due = stop or late or chunk.agents is not None
        arrays = training.pack(state) if due else {}
        with hosts.together():
            if first and due:
                checkpoint.write(folder.checkpoints, step, rows, arrays)
                last_save = time.monotonic()
            if first:
                reporter.advanced(chunk, training.progress(state))
        if stop:
            held.deliver()
            if hosts.several():  # one that has no handler, or did not get the signal, cannot go on alone
                raise Stopped(folder.path)


def _newest(folder: RunFolder) -> checkpoint.Checkpoint | None:
    """The newest checkpoint, which process 0 reads and sends to the others."""
    saved, data = None, b""
    with hosts.together():
        if hosts.is_first():
            saved = checkpoint.newest(folder.checkpoints)
            require(
                saved is not None or not folder.phases(),
                f"{folder.path}: has the agents of {len(folder.phases())} phases but no checkpoint to go on from",
            )
            data = saved.path.read_bytes() if saved and hosts.several() else b""
    data = hosts.from_process(0, data)
    return checkpoint.stored_in(data, folder.checkpoints) if data and not hosts.is_first() else saved


def _record(folder: RunFolder, chunk: Chunk, timing: dict) -> None:
    """Write what came of a chunk."""
    _stop_at_nan(chunk, folder)
    append_rows(folder.metrics_file, chunk.rows)
    append_rows(folder.timing_file, [timing])
    if chunk.agents is not None:
        agents = checkpoint.dump(chunk.agents, {"phase": chunk.phase})
        write_atomically(folder.agents_file(chunk.phase), agents)


def _stop_at_nan(chunk: Chunk, folder: RunFolder) -> None:
    """Refuse to go on, and to save, once a number of the metrics or of the weights is not finite."""
    bad = [name for row in chunk.rows for name, value in row.items() if not np.all(np.isfinite(value))]
    bad += [name for name, array in (chunk.agents or {}).items() if not np.isfinite(array).all()]
    if bad:
        kept = f"the last good checkpoint is kept in {folder.checkpoints}"
        if checkpoint.newest(folder.checkpoints) is None:
            kept = "no checkpoint had been saved yet"
        raise CoplayerError(
            f"{bad[0]} is not a finite number in phase {chunk.phase}: stopped; {kept}. "
            "The usual cure is a new run with a lower --learning-rate"
        )
