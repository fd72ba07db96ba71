"""Where jobs run: in processes of this machine, on a Ray cluster, or on a Slurm cluster.

A job is a dict that JSON can hold, with a `name` and a `log` file. A function of the job computes it in a process of
its own, and returns a dict with its `state`: "done", "failed" or "stopped". All machines must see the same folders.

Processes of this machine need no library. They are a few lines, since every job has its own process on every engine.
"""

import contextlib
import importlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from coplayer.errors import CoplayerError, first_line, imported, in_short, require, require_whole
from coplayer.runs.files import write_atomically
from coplayer.runtime import available_cores, usual_cores

Job = dict[str, Any]
Function = Callable[[Job], dict[str, Any]]


class Lost(NamedTuple):
    """A job whose process ended without a result: it can be started again."""

    reason: str


@runtime_checkable
class Engine(Protocol):
    """Starts jobs, and says how they ended."""

    cores: int
    """CPU cores of each job."""
    gpus: int | float
    """GPUs of each job."""
    own_cores: bool
    """Whether a job must take cores of its own, by locks on its machine: the engine gives it none."""
    stays: bool
    """Whether jobs go on when this process ends."""

    def open(self, function: Function, folder: Path) -> None:
        """Get ready to compute jobs by `function`. `folder` is for the engine's own files."""

    def close(self) -> None:
        """No more jobs come."""

    def at_a_time(self) -> int | None:
        """Jobs that may be started and not ended; None: any number, for the engine lets them wait."""

    def start(self, jobs: list[Job]) -> list[Any]:
        """Start jobs. Gives a handle for each."""

    def ended(self, handle: Any) -> dict[str, Any] | Lost | None:
        """The result of a job; None while it runs or waits."""

    def stop(self, handles: list[Any]) -> None:
        """Ask jobs to save and to stop, and wait for them."""


@dataclass(eq=False)
class Processes:
    """Jobs as processes of this machine, each on cores of its own.

    `jobs`: at a time; 0 for as many as there are cores and GPUs. Raises `CoplayerError` where the machine has fewer
    cores or GPUs than one job needs.
    """

    cores: int = usual_cores()
    gpus: int | float = 0
    jobs: int = 0
    own_cores: bool = field(default=True, init=False)
    stays: bool = field(default=False, init=False)

    def __post_init__(self):
        _check(self, whole_gpus=True)
        have = available_cores()
        require(self.cores <= have, f"cores: this machine has {have}, got {self.cores}")
        self._gpus = _visible_gpus() if self.gpus else []  # those that are free
        require(self.gpus <= len(self._gpus), f"gpus: this machine has {len(self._gpus)}, got {self.gpus}")
        room = self.jobs or have // self.cores
        self._room = min(room, len(self._gpus) // self.gpus) if self.gpus else room

    def open(self, function: Function, folder: Path) -> None:
        self._function = function

    def close(self) -> None:
        pass

    def at_a_time(self) -> int:
        return self._room

    def start(self, jobs: list[Job]) -> list[Any]:
        return [self._start(job) for job in jobs]

    def _start(self, job: Job) -> "_Process":
        gpus, self._gpus = self._gpus[: self.gpus], self._gpus[self.gpus :]
        where = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if gpus else {}
        with open(job["log"], "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", SERVE, f"{self._function.__module__}:{self._function.__qualname__}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=os.environ | where,
                start_new_session=True,  # Ctrl-C reaches us alone, and we let the jobs save
            )
        process.stdin.write(json.dumps(job).encode() + b"\n")
        process.stdin.flush()
        return _Process(process, gpus)

    def ended(self, handle: "_Process") -> dict[str, Any] | Lost | None:
        process = handle.process
        if process.poll() is None:
            return None
        self._gpus += handle.gpus
        said = process.stdout.read()
        process.stdin.close()
        process.stdout.close()
        if process.returncode == 0 and said:
            return json.loads(said)
        if process.returncode == 0:  # a user's own code ended it
            return {"state": "failed", "error": "its process ended without a result, with exit status 0"}
        killed = process.returncode < 0
        return Lost(
            f"killed by {signal.Signals(-process.returncode).name}" if killed else f"exit status {process.returncode}"
        )

    def stop(self, handles: list["_Process"]) -> None:
        for handle in handles:
            handle.process.terminate()
        try:
            for handle in handles:
                handle.process.wait()
        except KeyboardInterrupt:  # Ctrl-C again: at once
            for handle in handles:
                handle.process.kill()
            raise


class _Process(NamedTuple):
    process: subprocess.Popen
    gpus: list[str]


SERVE = "import sys; from coplayer.runs.engines import serve; serve(sys.argv[1])"


def serve(name: str) -> None:
    """Compute the job on the first line of stdin by the function `module:name`, and write its result to stdout. When
    stdin ends, the process that started this one is gone: the job is asked to stop.
    """
    result = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print goes to the log
    job = json.loads(sys.stdin.readline())
    threading.Thread(target=_stop_at_the_end_of, args=(sys.stdin,), daemon=True).start()
    module, _, function = name.partition(":")
    json.dump(getattr(importlib.import_module(module), function)(job), result)
    result.close()


def _stop_at_the_end_of(file: Any) -> None:
    with contextlib.suppress(OSError, ValueError):
        file.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    if asked is not None:
        return [name for name in asked.split(",") if name.strip()]
    tool = shutil.which("nvidia-smi")
    listed = subprocess.run([tool, "--list-gpus"], capture_output=True, text=True).stdout if tool else ""
    return [str(number) for number in range(sum(line.startswith("GPU ") for line in listed.splitlines()))]


@dataclass(eq=False)
class Ray:
    """Jobs as tasks of a Ray cluster, by default of one on this machine that ends with the sweep.

    `gpus` may be a part of a GPU. `memory`: GB for each job. `jobs`: at a time; 0 for as many as the cluster has room
    for. `address`: of an existing cluster, such as "auto" or "10.0.0.1:6379". Raises `CoplayerError` where Ray is not
    installed or the cluster cannot be reached.
    """

    cores: int = usual_cores()
    gpus: int | float = 0
    memory: float | None = None
    jobs: int = 0
    address: str | None = None
    own_cores: bool = field(default=True, init=False)
    stays: bool = field(default=False, init=False)

    def __post_init__(self):
        _check(self)
        self._ray = imported("ray", "ray", setting="engine")
        here = not self.address and not self._ray.is_initialized()
        self.own_cores = here  # the machines of another cluster may be containers, which do not share locks
        have = available_cores()
        require(bool(self.address) or self.cores <= have, f"cores: this machine has {have}, got {self.cores}")

    def open(self, function: Function, folder: Path) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        self._ours = not self._ray.is_initialized()
        if self._ours:
            self._begin()
        needs = {"memory": int(self.memory * 1e9)} if self.memory else {}
        remote = self._ray.remote(num_cpus=self.cores, num_gpus=self.gpus, max_retries=0, max_calls=1, **needs)
        self._task = remote(function)

    def _begin(self) -> None:
        here = {"num_cpus": available_cores(), "include_dashboard": False, "object_store_memory": 10**8}
        quiet = {"log_to_driver": False, "logging_level": "warning"}
        handler = signal.getsignal(signal.SIGTERM)  # Ray sets its own
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "os.fork", RuntimeWarning)  # by JAX: Ray starts programs at once
                self._ray.init(self.address or "local", **quiet, **({} if self.address else here))
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            where = f"address: no Ray cluster at {self.address}" if self.address else "engine: ray does not start"
            raise CoplayerError(f"{where} ({in_short(error)})") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)

    def close(self) -> None:
        if self._ours:
            self._ray.shutdown()

    def at_a_time(self) -> int | None:
        return self.jobs or None

    def start(self, jobs: list[Job]) -> list[Any]:
        return [self._task.options(name=job["name"]).remote(job) for job in jobs]

    def ended(self, handle: Any) -> dict[str, Any] | Lost | None:
        if not self._ray.wait([handle], timeout=0)[0]:
            return None
        try:
            return self._ray.get(handle)
        except self._ray.exceptions.RayTaskError as error:  # it could not begin
            return {"state": "failed", "error": str(error).strip().splitlines()[-1]}
        except self._ray.exceptions.RayError as error:
            return Lost(first_line(error) or type(error).__name__)

    def stop(self, handles: list[Any]) -> None:
        for handle in handles:
            self._ray.cancel(handle)
        self._ray.wait(handles, num_returns=len(handles))


ARRAY = 1001  # jobs of an array where Slurm does not tell its limit, MaxArraySize: its default
FORGOTTEN = 600.0  # seconds after which a job that Slurm does not know is lost


@dataclass(eq=False)
class Slurm:
    """Jobs of a Slurm cluster, submitted by submitit as an array.

    A job that Slurm pre-empts, or whose time is over, is saved and put back into the queue. `memory`: GB for each job.
    `jobs`: at a time; 0 for as many as the queue takes. `minutes`: limit of each job, of one stay on a machine.
    `more`: other options of sbatch, such as {"account": "me", "exclusive": True}. Raises `CoplayerError` where submitit
    or Slurm is not installed.
    """

    cores: int = usual_cores()
    gpus: int | float = 0
    memory: float | None = None
    jobs: int = 0
    partition: str | None = None
    minutes: int = 60
    more: Mapping[str, str | bool] = field(default_factory=dict)
    restarts: int = 100
    """Times that a job may be put back since its time was over."""
    cluster: str = "slurm"  # submitit's name; the tests take its "local"
    own_cores: bool = field(default=False, init=False)
    stays: bool = field(default=True, init=False)

    def __post_init__(self):
        _check(self, whole_gpus=True)
        require_whole("minutes", self.minutes, at_least=1)
        self._submitit = imported("submitit", "slurm", setting="engine")
        found = self.cluster != "slurm" or (shutil.which("sbatch") and shutil.which("srun"))
        require(bool(found), "engine: slurm needs a machine with Slurm's sbatch and srun")

    def open(self, function: Function, folder: Path) -> None:
        self._folder, self._function = folder, _Resumable(function)
        self._unknown: dict[str, float] = {}  # since when Slurm does not know a job
        self._array = _array_limit()
        limits = {f"{self.cluster}_max_num_timeout": self.restarts}
        self._executor = self._submitit.AutoExecutor(folder, cluster=self.cluster, **limits)
        self._executor.update_parameters(
            name="coplayer",
            timeout_min=self.minutes,
            cpus_per_task=self.cores,
            gpus_per_node=self.gpus or None,
            mem_gb=self.memory,
            slurm_partition=self.partition,
            slurm_array_parallelism=self.jobs or self._array,
            slurm_signal_delay_s=min(300, 15 * self.minutes),  # for the running chunk to end
            slurm_additional_parameters=dict(self.more) or None,
        )

    def close(self) -> None:
        pass

    def at_a_time(self) -> None:
        return None

    def start(self, jobs: list[Job]) -> list[Any]:
        """Submit jobs, but for those that an earlier sweep submitted and that still wait or run."""
        known = {job["name"]: self._submitted(job) for job in jobs}
        fresh = [job for job in jobs if known[job["name"]] is None]
        for array in (fresh[begin : begin + self._array] for begin in range(0, len(fresh), self._array)):
            try:
                handles = self._executor.map_array(self._function, array)
            except self._submitit.core.utils.FailedJobError as error:
                raise CoplayerError(f"engine: sbatch takes no jobs ({in_short(error)})") from error
            for job, handle in zip(array, handles, strict=True):
                known[job["name"]] = handle
                write_atomically(self._id_file(job), handle.job_id.encode())
        return list(known.values())

    def _id_file(self, job: Job) -> Path:
        return self._folder / f"{job['name']}.id"

    def _submitted(self, job: Job) -> Any | None:
        """The handle of a job that waits or runs since an earlier sweep."""
        try:
            number = self._id_file(job).read_text()
        except OSError:
            return None
        handle = self._submitit.SlurmJob(self._folder, number) if self.cluster == "slurm" else None
        if handle is None or handle.done(force_check=True):
            return None
        forgotten = time.time() - self._id_file(job).stat().st_mtime > FORGOTTEN and handle.state == "UNKNOWN"
        return None if forgotten else handle

    def ended(self, handle: Any) -> dict[str, Any] | Lost | None:
        if not handle.paths.result_pickle.exists():
            done, state = handle.done(), handle.state
            if state != "UNKNOWN":
                self._unknown.pop(handle.job_id, None)
            elif time.monotonic() - self._unknown.setdefault(handle.job_id, time.monotonic()) > FORGOTTEN:
                return Lost("Slurm does not know the job")
            if not done:
                return None
            if state.startswith("CANCELLED"):  # by a person
                return {"state": "failed", "error": f"Slurm says {state}"}
            return Lost(f"Slurm says {state}")
        try:
            return handle.results()[0]
        except self._submitit.core.utils.FailedJobError as error:  # it could not begin
            trace = str(error).partition("trace:")[2].replace("-", "").strip().splitlines()
            return {"state": "failed", "error": next((line for line in reversed(trace) if "rror" in line), str(error))}

    def stop(self, handles: list[Any]) -> None:
        """Let them run: they do not need this process."""


def _array_limit() -> int:
    """Jobs that Slurm takes as one array."""
    tool = shutil.which("scontrol")
    told = subprocess.run([tool, "show", "config"], capture_output=True, text=True).stdout if tool else ""
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", told, re.MULTILINE)
    return max(int(found[1]), 1) if found else ARRAY


class _Resumable:
    """A function as submitit calls it. To put a job back into the queue, submitit asks for the `checkpoint` at the
    signal USR2. A training holds the signal back until all is saved.
    """

    def __init__(self, function: Function):
        self._function = function

    def __call__(self, job: Job) -> dict[str, Any]:
        return self._function(job)

    def checkpoint(self, job: Job) -> Any:
        return importlib.import_module("submitit.helpers").DelayedSubmission(self, job)


def _check(engine: Engine, *, whole_gpus: bool = False) -> None:
    """Refuse what no job can have."""
    require_whole("cores", engine.cores, at_least=1)
    require_whole("jobs", engine.jobs, at_least=0)
    require(engine.gpus >= 0, f"gpus: must be at least 0, got {engine.gpus}")
    whole = engine.gpus == int(engine.gpus)
    require(whole or not whole_gpus, f"gpus: must be a whole number but with --engine ray, got {engine.gpus}")
    engine.gpus = int(engine.gpus) if whole else engine.gpus
    memory = getattr(engine, "memory", None)
    require(memory is None or memory > 0, f"memory: must be above 0 GB, got {memory}")
