"""Settings of JAX for this library. They count if they are made before JAX first touches a device."""

import contextlib
import os
import platform
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import filelock
import jax
import platformdirs

WIDE_VECTORS = "--xla_cpu_prefer_vector_width=512"
NO_CACHE = "COPLAYER_NO_CACHE"  # an environment variable: if it is set, compiled programs are not kept
LEAST_SECONDS = 0.5  # programs that compile faster are not kept
MOST_BYTES = 2 * 10**9  # of all programs kept; the least recently used are removed first


def configure(cpu_devices: int | None = None, *, compilation_cache: bool = True) -> None:
    """Make JAX fast for this library: wide vector instructions, a CPU core per learner, and a cache of programs.

    Each CPU core becomes a device of its own, two at most by default. The two learners of an experiment then train on
    a core each, because their steps are too small for XLA to divide among cores. This has no effect on GPUs.

    Compiled programs are kept in the user's cache folder (see `cache_folder`), so that the next run starts at once.
    They are not kept with `compilation_cache=False`, nor if the environment variable COPLAYER_NO_CACHE is set.

    Settings that the user has made in XLA_FLAGS or JAX_COMPILATION_CACHE_DIR stay as they are. The number of devices
    stays as it is where JAX has begun already.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_cpu_prefer_vector_width" not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} {WIDE_VECTORS}".strip()
    if "xla_force_host_platform_device_count" not in flags:
        with contextlib.suppress(RuntimeError):  # JAX has begun
            jax.config.update("jax_num_cpu_devices", cpu_devices or usual_cores())
    if not compilation_cache or os.environ.get(NO_CACHE):
        jax.config.update("jax_enable_compilation_cache", False)
    elif jax.config.jax_compilation_cache_dir is None:
        _keep_programs(cache_folder())


def cache_folder() -> Path:
    """The folder of compiled programs, in the user's cache folder: on Linux $XDG_CACHE_HOME/coplayer/jax, by default
    ~/.cache/coplayer/jax. It may be removed at any time.

    Machines that share a home folder have a folder each per kind of processor. A program that was compiled for one kind
    may not run on another. Processes of other numbers of cores have other folders too. A program is compiled for so
    many threads, and JAX does not look at that number when reading the cache.
    """
    home = Path(platformdirs.user_cache_dir("coplayer", appauthor=False))
    return home / "jax" / f"{_processor()}-{available_cores()}-cores"


def _processor() -> str:
    """A short name for the kind of processor, with the instructions that it knows."""
    words = platform.processor()
    with contextlib.suppress(OSError):  # on Linux alone
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        words = next((line for line in lines if line.startswith(("flags", "Features"))), words)
    return f"{platform.machine()}-{zlib.crc32(words.encode()):08x}"


def _keep_programs(folder: Path) -> None:
    """Let JAX keep its compiled programs in a folder, if it can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
    jax.config.update("jax_compilation_cache_max_size", MOST_BYTES)


def compute_on_cpu() -> None:
    """Leave the GPUs to other processes. Counts if JAX has touched no device yet."""
    jax.config.update("jax_platforms", "cpu")


@contextlib.contextmanager
def own_cores(count: int) -> Iterator[None]:
    """Bind this process to `count` cores that no other process of the user holds by this function. Where fewer are
    free, or the system cannot bind, the process runs on all cores as before. XLA has as many threads as cores.
    """
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError, AttributeError):  # AttributeError: a system without sched_setaffinity
            before, folder = os.sched_getaffinity(0), Path(tempfile.gettempdir()) / f"coplayer-cores-{os.getuid()}"
            folder.mkdir(exist_ok=True)
            with filelock.FileLock(folder / "all.lock"):
                cores = _locked(folder, sorted(before), count, held)
            if cores:
                held.callback(os.sched_setaffinity, 0, before)
                os.sched_setaffinity(0, cores)
        yield


def _locked(folder: Path, cores: list[int], count: int, held: contextlib.ExitStack) -> list[int]:
    """The first `count` of the cores that are free, locked until `held` ends; none where there are not so many."""
    with contextlib.ExitStack() as taken:
        found = []
        for core in cores:
            if len(found) < count:
                lock = filelock.FileLock(folder / f"{core}.lock")
                with contextlib.suppress(filelock.Timeout):
                    lock.acquire(blocking=False)
                    taken.callback(lock.release)
                    found.append(core)
        if len(found) < count:
            return []
        held.enter_context(taken.pop_all())
        return found


def usual_cores() -> int:
    """Cores that a training uses by default, each as a device of its own."""
    return min(2, available_cores())


def available_cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
