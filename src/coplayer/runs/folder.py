"""A run's folder.

    config.json          all settings, versions, commit, random-number implementation
    metrics.jsonl        one JSON object per line; they depend on the settings alone
    timing.jsonl         seconds and rates, one JSON object per chunk of training
    tracking.json        the run's name at each tracker that it was sent to; tensorboard/, wandb/ are of trackers
    checkpoints/         the newest two states of the run, each complete
    agents/              weights at the end of each phase, enough to play with
    figures/, summary.md written when the run ends, or by `coplayer evaluate`

An archive of a finished run (see `experiments.archive`) has metrics.jsonl.gz instead, and no checkpoints.
"""

import contextlib
import importlib.metadata
import json
import platform
import subprocess
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import filelock
import jax
import numpy as np
from jaxtyping import Float, Num

from coplayer.errors import CoplayerError, first_line, in_short, require
from coplayer.runs.files import JSON_ERRORS, append, cannot_write, loads, unzipped, write_atomically


class Held(CoplayerError):
    """Another process holds the folder."""


class RunFolder:
    """Paths and small files of one run."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self.config_file = self.path / "config.json"
        self.metrics_file = self.path / "metrics.jsonl"
        self.archived_metrics = self.path / "metrics.jsonl.gz"
        self.timing_file = self.path / "timing.jsonl"
        self.tracking_file = self.path / "tracking.json"
        self.checkpoints = self.path / "checkpoints"
        self.agents = self.path / "agents"
        self.figures = self.path / "figures"

    @classmethod
    def create(cls, path: str | Path, config: dict) -> "RunFolder":
        """Make a new folder and write `config` to it. A folder that has a file in it is refused. The remains of a
        process that was killed here, no file or half a config, are accepted.
        """
        folder = cls(path)
        untouched = (entry.is_dir() or entry.suffix == ".partial" for entry in folder.path.rglob("*"))
        require(
            not folder.path.exists() or (folder.path.is_dir() and all(untouched)),
            f"out: {path} exists already; name a new folder, or go on with it by 'coplayer resume {path}'",
        )
        try:
            for directory in (folder.path, folder.checkpoints, folder.agents, folder.figures):
                directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(folder.path, error) from error
        write_atomically(folder.config_file, json.dumps(config, indent=2).encode() + b"\n")
        return folder

    @classmethod
    def open(cls, path: str | Path) -> "RunFolder":
        """An existing run."""
        folder = cls(path)
        require(folder.path.is_dir(), f"{path}: no such run folder")
        require(folder.config_file.is_file(), f"{path}: not a run folder (it has no config.json)")
        return folder

    def config(self) -> dict:
        """The contents of config.json: an object with the run's settings and how the run was made."""
        try:
            stored = loads(self.config_file.read_bytes())
        except (OSError, *JSON_ERRORS) as error:
            raise CoplayerError(f"{self.config_file}: unreadable ({first_line(error)})") from error
        whole = isinstance(stored, dict) and isinstance(stored.get("settings"), dict)
        require(whole, f"{self.config_file}: must be an object with the settings of a run")
        return stored

    @contextlib.contextmanager
    def locked(self, seconds: float = 0.0) -> Iterator[None]:
        """Hold the folder, so that no other process trains in it. Waits so many `seconds` for another to end."""
        lock = filelock.FileLock(self.path / ".lock")
        try:
            lock.acquire(timeout=seconds)
        except filelock.Timeout as error:
            raise Held(f"{self.path}: another process is training in this folder") from error
        try:
            yield
        finally:
            lock.release()

    @property
    def archived(self) -> bool:
        """Whether this is an archive, which has all that figures need and cannot be gone on with."""
        return self.archived_metrics.is_file()

    def metrics_bytes(self) -> bytes:
        """The contents of metrics.jsonl, also of an archive; nothing where there is no such file."""
        if not self.archived:
            return _contents(self.metrics_file)
        try:
            return unzipped(self.archived_metrics.read_bytes())
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise CoplayerError(f"{self.archived_metrics}: unreadable or cut short ({in_short(error)})") from error

    def metrics(self) -> list[dict]:
        """All complete rows of metrics.jsonl. Raises `CoplayerError` for a row that does not say of whom it is."""
        rows = rows_of(self.metrics_bytes(), self.metrics_file)
        for number, row in enumerate(rows, 1):
            named = all(type(row.get(name)) is int for name in ("phase", "seed", "learner"))
            require(named, f"{self.metrics_file}: line {number} lacks its phase, seed or learner")
        return rows

    def timing(self) -> list[dict]:
        """All complete rows of timing.jsonl. Raises `CoplayerError` for a row without its step or its seconds."""
        rows = rows_of(_contents(self.timing_file), self.timing_file)
        for number, row in enumerate(rows, 1):
            require({"step", "seconds"} <= row.keys(), f"{self.timing_file}: line {number} lacks its step or seconds")
        return rows

    def phases(self) -> list[int]:
        """The phases whose agents are kept."""
        words = (path.stem.removeprefix("phase_") for path in self.agents.glob("phase_*.npz"))
        return sorted(int(word) for word in words if word.isdecimal())

    def agents_file(self, phase: int) -> Path:
        """Where the agents at the end of a phase are."""
        return self.agents / f"phase_{phase:04d}.npz"

    def over_training(
        self, name: str, x: str = "phase", *, learners: Sequence[int] | None = None
    ) -> tuple[Num[np.ndarray, " points"], Float[np.ndarray, "seeds points"]]:
        """A metric of training by `x`: "phase", or "iteration" where metrics come by iteration.

        Values are means over these learners (None: all) and over all rows of the same `x`. Returns the xs and the
        values.
        """
        rows = [row for row in self.metrics() if {name, x} <= row.keys()]
        require(bool(rows), f"{self.path}: has no {name} by {x}, or no phase is done yet")
        rows = [row for row in rows if learners is None or row["learner"] in learners]
        require(bool(rows), f"{self.path}: has no learners {learners}")
        xs = sorted({row[x] for row in rows})
        seeds = sorted({row["seed"] for row in rows})
        values = {(seed, at): [] for seed in seeds for at in xs}
        for row in rows:
            values[row["seed"], row[x]].append(row[name])
        return np.array(xs), np.array([[np.mean(values[seed, at]) for at in xs] for seed in seeds])


def _contents(path: Path) -> bytes:
    """The contents of a file; nothing where there is none."""
    return path.read_bytes() if path.exists() else b""


def rows_of(data: bytes, path: Path) -> list[dict]:
    """The complete rows in the contents of `path`."""
    rows = []
    for number, line in enumerate(data.split(b"\n")[:-1], 1):  # after the last newline: a row cut short
        try:
            rows.append(loads(line))
        except JSON_ERRORS as error:
            raise CoplayerError(f"{path}: line {number} is unreadable") from error
        numbers = isinstance(rows[-1], dict) and all(type(value) in (int, float) for value in rows[-1].values())
        require(numbers, f"{path}: line {number} must be an object of numbers")
    return rows


def append_rows(path: Path, rows: list[dict]) -> None:
    append(path, as_bytes(rows))


def as_bytes(rows: list[dict]) -> bytes:
    """The rows as metrics.jsonl and timing.jsonl hold them."""
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def keep_rows(path: Path, count: int | None = None) -> None:
    """Cut a file of rows back to its first `count`, those from before a checkpoint; None: to all complete ones."""
    data = _contents(path)
    lines = data.split(b"\n")[:-1]
    require(len(lines) >= (count or 0), f"{path}: has {len(lines)} rows, and the checkpoint was made after {count}")
    kept = b"".join(line + b"\n" for line in lines[:count])
    if kept != data:
        write_atomically(path, kept)


def provenance() -> dict:
    """The versions, commit and device that a result depends on beside its settings."""
    names = ("jax", "jaxlib", "equinox", "optax", "numpy")
    device, count = jax.local_devices()[0], jax.process_count()
    processes = f", {count} processes" if count > 1 else ""
    return {
        "coplayer": importlib.metadata.version("coplayer"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in names},
        "device": f"{jax.device_count()} x {device.device_kind}{processes}",
        "random_numbers": jax.config.jax_default_prng_impl,
    }


def _commit() -> str | None:
    """The commit of the source tree, with a mark if files were changed since; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return None

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True).stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src")
    return (git("rev-parse", "HEAD") + (" (changed)" if changed else "")) or None
