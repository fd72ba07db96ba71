"""One job of a sweep, in a process of its own: a training that begins, or goes on where it stopped."""

import contextlib
import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coplayer import runtime
from coplayer.errors import CoplayerError, in_short
from coplayer.experiments import registry, stored
from coplayer.games import files, names
from coplayer.runs.files import JSON_ERRORS, append, loads, write_atomically
from coplayer.runs.folder import Held, RunFolder
from coplayer.runs.stopping import Leave, Stopped, leaving_at_sigterm
from coplayer.runs.tracking import Tracked
from coplayer.runs.training import Chunk, Silence

LOCK_SECONDS = 60.0  # to wait for the process that trained here before, which may not know yet that it is lost
NOT_MAIN = "__coplayer_job__"


def train(job: dict[str, Any]) -> dict[str, Any]:
    """Train the job of a sweep to its end (see `sweep._spec`). Returns its `state`. "stopped": all is saved after
    SIGTERM or SIGINT, or another process still trains in the job's folder. "failed": the `error` is returned too, on
    one line; its traceback is in the job's log. Else "done".
    """
    folder, status = Path(job["folder"]), Status(Path(job["status"]))
    with contextlib.suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, Leave(folder))
    try:
        with leaving_at_sigterm(), contextlib.ExitStack() as held:
            if job["own_cores"]:
                held.enter_context(runtime.own_cores(job["cores"]))
            _train(job, folder, status)
        result = {"state": "done"}
    except Stopped:
        result = {"state": "stopped"}
    except Held as error:
        result = {"state": "stopped", "error": in_short(error)}
    except Exception as error:
        append(Path(job["log"]), traceback.format_exc().encode())
        result = {"state": "failed", "error": " ".join(in_short(error).split())}
    status.write(**result)
    return result


def _train(job: dict[str, Any], folder: Path, status: "Status") -> None:
    runtime.configure(min(2, job["cores"]), compilation_cache=job["compilation_cache"])
    if not job["gpus"]:
        runtime.compute_on_cpu()
    elif job["gpus"] < 1:  # others compute on the same one
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", f"{0.9 * job['gpus']:.3f}")
    if job["program"]:
        sys.path.insert(0, str(Path(job["program"]).parent))
        with _staying(job["program"]):
            runpy.run_path(job["program"], run_name=NOT_MAIN)
    for file in job["game_files"]:
        with _staying(file):
            names.register(*files.load(file))
    default = registry.settings_type(registry.EXPERIMENTS[job["experiment"]])()
    settings = stored.read(job["settings"], default, folder)
    status.write(state="running")
    if folder.is_dir():
        with RunFolder(folder).locked(LOCK_SECONDS):
            pass
    with Tracked(folder, job["log_to"], status) as reporter:
        registry.go_on(settings, folder, recipe=job["recipe"], preset=job["preset"], reporter=reporter)


@contextlib.contextmanager
def _staying(file: str) -> Iterator[None]:
    """Refuse a user's file that ends the process."""
    try:
        yield
    except SystemExit as error:
        only = 'let it call sys.exit or cli.main only under if __name__ == "__main__"'
        raise CoplayerError(f"{file}: ends the job, with exit status {error.code}; {only}") from error


class Status(Silence):
    """A `Reporter` that keeps how a job stands in a small file, for whoever watches the sweep. The file has the state,
    the share of the work done, the seconds of this process, the machine and the process.
    """

    def __init__(self, file: Path):
        self._file, self._begin, self._written, self._progress = file, time.monotonic(), 0.0, 0.0

    def advanced(self, chunk: Chunk, progress: float) -> None:
        self._progress = progress
        if time.monotonic() - self._written >= 1:
            self.write(state="running")

    def write(self, **words: str) -> None:
        self._written = time.monotonic()
        numbers = {"progress": self._progress, "seconds": self._written - self._begin}
        stands = words | numbers | {"host": socket.gethostname(), "pid": os.getpid()}
        write_atomically(self._file, json.dumps(stands).encode() + b"\n")


def status_of(file: Path) -> dict[str, Any]:
    """What a job's file says of how it stands; nothing where there is no such file yet, or a damaged one."""
    try:
        found = loads(file.read_bytes())
    except (OSError, *JSON_ERRORS):
        return {}
    return found if isinstance(found, dict) else {}
