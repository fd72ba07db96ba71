"""Trackers: the metrics of a run, sent on to TensorBoard, Weights & Biases or trackio while it trains.

metrics.jsonl stays the record. A tracker gets the same numbers, under `metric/learner_0/seed_0`, and the rates of
timing.jsonl under `timing/`. Steps are iterations; of a PPI run they are phases, and for losses the chunks of updates.
"""

import importlib
import json
import uuid
from collections.abc import Collection
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from coplayer.errors import CoplayerError, imported, in_short, require
from coplayer.runs.files import JSON_ERRORS, loads, write_atomically
from coplayer.runs.folder import RunFolder
from coplayer.runs.training import Chunk, Reporter, Silence

WHERE = ("phase", "iteration", "update", "seed", "learner")  # of a row, beside what is measured
PROJECT = "coplayer"


@runtime_checkable
class Tracker(Protocol):
    """Where numbers are sent to."""

    def log(self, values: dict[str, float], step: int) -> None:
        """Numbers by name, at a step."""

    def close(self) -> None:
        """No more numbers come."""


class TensorBoard:
    """Event files in the run's folder `tensorboard`, which `tensorboard --logdir` shows."""

    MODULE = "tensorboard"

    def __init__(self, folder: RunFolder, name: str):
        summary = importlib.import_module("tensorboard.summary")
        self._writer = summary.Writer(str(folder.path / "tensorboard"))

    def log(self, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of the project "coplayer" at Weights & Biases. Its own environment variables count, such as WANDB_MODE."""

    MODULE = "wandb"

    def __init__(self, folder: RunFolder, name: str):
        wandb = importlib.import_module(self.MODULE)
        self._run = wandb.init(
            project=PROJECT,
            id=name.rpartition("-")[2],
            name=name,
            resume="allow",
            dir=str(folder.path),
            config=folder.config(),
        )
        self._run.define_metric("*", step_metric="step")  # steps of a resumed run may come again

    def log(self, values: dict[str, float], step: int) -> None:
        self._run.log({"step": step} | values)

    def close(self) -> None:
        self._run.finish()


class Trackio:
    """A run of the project "coplayer" in trackio's local database. Its own environment variables count."""

    MODULE = "trackio"

    def __init__(self, folder: RunFolder, name: str):
        self._trackio = importlib.import_module(self.MODULE)
        self._trackio.init(project=PROJECT, name=name, resume="allow", config=folder.config(), embed=False)

    def log(self, values: dict[str, float], step: int) -> None:
        self._trackio.log(values, step=step)

    def close(self) -> None:
        self._trackio.finish()


TRACKERS = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases, "trackio": Trackio}
"""Trackers by the names that `--log` takes."""


class Tracked:
    """A `Reporter` that sends all metrics to trackers, and shows the progress by another reporter. Use as a context
    manager.

    `path`: the run's folder, which need not exist yet. `names`: some of "tensorboard", "wandb" and "trackio". A run
    that goes on with a tracker that it did not have before is sent from its beginning. Raises `CoplayerError` for an
    unknown tracker and for one that is not installed.
    """

    def __init__(self, path: str | Path, names: Collection[str], reporter: Reporter | None = None):
        for name in names:
            require(name in TRACKERS, f"log: must be of {', '.join(TRACKERS)}, got {name!r}")
            imported(TRACKERS[name].MODULE, name, setting="log")
        self._path, self._names, self._reporter = Path(path), tuple(names), reporter or Silence()
        self._trackers: dict[str, Tracker] | None = None  # opened at the first report, since the folder is new
        self._updates: set[tuple[int, int]] = set()  # chunks of updates so far

    def __enter__(self) -> "Tracked":
        return self

    def __exit__(self, kind: Any, earlier: BaseException | None, trace: Any) -> None:
        """Close all trackers. A tracker that fails to close is a note of an earlier error, and hides none."""
        for name, tracker in (self._trackers or {}).items():
            try:
                self._try(name, tracker.close)
            except CoplayerError as failure:
                if earlier is None:
                    earlier = failure
                else:
                    earlier.add_note(str(failure))
        if kind is None and earlier is not None:
            raise earlier

    def resumed(self, chunk: int) -> None:
        self._open(RunFolder.open(self._path).metrics())
        self._reporter.resumed(chunk)

    def advanced(self, chunk: Chunk, progress: float) -> None:
        if self._trackers is None:
            self._open([])
        numbers = self._by_step(chunk.rows)
        last = max(numbers, default=0)
        rates = {f"timing/{name}": float(value) for name, value in chunk.timing.items() if name not in WHERE}
        numbers[last] = numbers.get(last, {}) | rates
        for name, tracker in self._trackers.items():
            self._send(name, tracker, numbers)
        self._reporter.advanced(chunk, progress)

    def _open(self, before: list[dict]) -> None:
        """Open all trackers. Those that are new to the run get the rows from before."""
        folder = RunFolder.open(self._path)
        known, self._trackers = _known(folder), {}
        past = self._by_step(before)
        for name in self._names:
            fresh = name not in known
            known.setdefault(name, f"{folder.path.resolve().name}-{uuid.uuid4().hex[:8]}")
            self._trackers[name] = self._try(name, TRACKERS[name], folder, known[name])
            if fresh:
                self._send(name, self._trackers[name], past)
        write_atomically(folder.tracking_file, json.dumps(known).encode() + b"\n")

    def _send(self, name: str, tracker: Tracker, numbers: dict[int, dict[str, float]]) -> None:
        for step, values in sorted(numbers.items()):
            self._try(name, tracker.log, values, step)

    def _by_step(self, rows: list[dict]) -> dict[int, dict[str, float]]:
        """The metrics of rows by step and name."""
        numbers: dict[int, dict[str, float]] = {}
        for row in rows:
            if "update" in row:
                self._updates.add((row["phase"], row["update"]))
            step = row.get("iteration", len(self._updates) if "update" in row else row["phase"])
            of_step = numbers.setdefault(step, {})
            for name in row.keys() - set(WHERE):
                of_step[f"{name}/learner_{row['learner']}/seed_{row['seed']}"] = row[name]
        return numbers

    def _try(self, name: str, call: Any, *arguments: Any) -> Any:
        """Call a tracker's library. Whatever it raises becomes one line, since the run itself is fine."""
        try:
            return call(*arguments)
        except Exception as error:
            raise CoplayerError(
                f"log: {name} failed ({in_short(error)}); 'coplayer resume {self._path}' goes on without it"
            ) from error


def _known(folder: RunFolder) -> dict[str, str]:
    """The run's name at each tracker that it was sent to before."""
    if not folder.tracking_file.exists():
        return {}
    try:
        known = loads(folder.tracking_file.read_bytes())
    except (OSError, *JSON_ERRORS) as error:
        raise CoplayerError(f"{folder.tracking_file}: unreadable; remove it to send the run anew") from error
    named = isinstance(known, dict) and all(isinstance(name, str) for name in known.values())
    require(named, f"{folder.tracking_file}: must be an object of names; remove it to send the run anew")
    return known
