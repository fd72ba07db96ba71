"""The host's side of training: chunks, metrics, checkpoints, progress, and resuming after a stop.

A training is a pure function of its settings, cut into chunks. Its metrics and weights do not depend on where the run
was stopped, nor on how often its state was saved.
"""

import time
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np

from coplayer.errors import CoplayerError, require
from coplayer.runs import checkpoint
from coplayer.runs.files import write_atomically
from coplayer.runs.folder import RunFolder, append_rows, keep_rows
from coplayer.runs.stopping import HeldSignals


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
    """
    with folder.locked(), HeldSignals(folder.path) as held:
        try:
            _train(training, folder, reporter, checkpoint_seconds, held)
        except jax.errors.JaxRuntimeError as error:
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            raise CoplayerError(
                "the device ran out of memory; lower --seed-batch or the episodes played at a time, then resume "
                f"{folder.path}"
            ) from error


def _train(
    training: Training, folder: RunFolder, reporter: Reporter, checkpoint_seconds: float, held: HeldSignals
) -> None:
    saved = checkpoint.newest(folder.checkpoints)
    require(
        saved is not None or not folder.phases(),
        f"{folder.path}: has the agents of {len(folder.phases())} phases but no checkpoint to go on from",
    )
    state = training.unpack(saved.arrays) if saved else training.initial_state()
    step, rows = (saved.step, saved.rows) if saved else (0, 0)
    keep_rows(folder.metrics_file, rows)
    if saved:
        reporter.resumed(step)

    last_save = time.monotonic()
    while not training.finished(state):
        begin = time.monotonic()
        chunk = training.advance(state)
        state, step = chunk.state, step + 1
        _stop_at_nan(chunk, folder)
        append_rows(folder.metrics_file, chunk.rows)
        rows += len(chunk.rows)
        append_rows(folder.timing_file, [{"step": step, "seconds": time.monotonic() - begin, **chunk.timing}])
        if chunk.agents is not None:
            agents = checkpoint.dump(chunk.agents, {"phase": chunk.phase})
            write_atomically(folder.agents_file(chunk.phase), agents)
        stop = held.came is not None
        if stop or chunk.agents is not None or time.monotonic() - last_save >= checkpoint_seconds:
            checkpoint.write(folder.checkpoints, step, rows, training.pack(state))
            last_save = time.monotonic()
        reporter.advanced(chunk, training.progress(state))
        if stop:
            held.deliver()


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
