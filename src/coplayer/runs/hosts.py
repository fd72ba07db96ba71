"""Several processes that train one run, on one host or on many (`jax.distributed`).

Every process computes on its own devices and holds its part of the arrays. Process 0 alone writes the run's folder.
All functions are called by all processes in the same order. Where there is one process, nothing is sent.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from coplayer.errors import CoplayerError, first_line, in_short, require

ADDRESS, COUNT, NUMBER = "JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"  # environment variables
GRACE = 2.0  # seconds in which the others can say what stopped them, before their coordinator ends
AT_ONCE = 2**28  # bytes of an array that every device takes in, while the array is gathered


class FailedTogether(CoplayerError):
    """An error of one process or more, at which all processes stop."""


def connect(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Join the processes of a run, before JAX first touches a device; waits until all are there.

    `coordinator`: the address HOST:PORT of process 0. `processes`: how many there are. `process`: the number of this
    one, from 0. What is None is read from the environment variables JAX_COORDINATOR_ADDRESS, JAX_NUM_PROCESSES and
    JAX_PROCESS_ID. Without any of these, JAX asks the cluster (Slurm, Open MPI, Kubernetes, Cloud TPU).
    """
    coordinator = coordinator or os.environ.get(ADDRESS)
    processes = _number(COUNT) if processes is None else processes
    process = _number(NUMBER) if process is None else process
    given = (coordinator, processes, process)
    if any(value is not None for value in given):
        _check(coordinator, processes, process)
    how = {} if coordinator is None else {"cluster_detection_method": "deactivate"}
    jax.config.update("jax_enable_preemption_service", False)  # takes SIGTERM from this process, see `runs.stopping`
    try:
        jax.distributed.initialize(*given, **how)
    except (ValueError, RuntimeError) as error:
        raise CoplayerError(
            f"distributed: the processes did not find one another ({first_line(error).rstrip('.')}); name "
            "--coordinator HOST:PORT, --processes and --process, or use a cluster that JAX knows, such as Slurm"
        ) from error


def _number(name: str) -> int | None:
    """The whole number of an environment variable."""
    text = os.environ.get(name)
    require(text is None or text.isdecimal(), f"distributed: {name} must be a whole number, got {text!r}")
    return None if text is None else int(text)


def _check(coordinator: str | None, processes: int | None, process: int | None) -> None:
    """Refuse addresses and numbers by which no process can be found."""
    named = {"coordinator": coordinator, "processes": processes, "process": process}
    lacking = [f"--{name}" for name, value in named.items() if value is None]
    require(not lacking, f"distributed: needs {' and '.join(lacking)} too, or none of the three on a cluster")
    host, _, port = coordinator.rpartition(":")
    require(
        bool(host) and port.isdecimal() and 0 < int(port) < 2**16,
        f"coordinator: must be HOST:PORT, such as node-1:12345, got {coordinator!r}",
    )
    require(processes >= 1, f"processes: must be at least 1, got {processes}")
    require(0 <= process < processes, f"process: must be from 0 to {processes - 1}, got {process}")


def connected() -> bool:
    """Whether this process has joined others and not left them."""
    return jax.distributed.is_initialized()


def disconnect() -> None:
    """Leave the other processes, once all of them are here. Only arrays of this process can be used after it."""
    if connected():
        jax.distributed.shutdown()


def leave(status: int) -> None:
    """End this process at once with an exit status, where the others will not come to leave together."""
    sys.stdout.flush()
    sys.stderr.flush()
    if is_first():
        time.sleep(GRACE)
    os._exit(status)


def is_first() -> bool:
    """Whether this is the process that writes the run's folder, the only one or number 0."""
    return jax.process_index() == 0


def several() -> bool:
    """Whether more than one process trains."""
    return jax.process_count() > 1


@contextlib.contextmanager
def together() -> Iterator[None]:
    """Work that may fail on some processes, such as writing a file on process 0. All wait for one another at its end.
    Where the work fails on one, all raise `FailedTogether` with the message of the first that failed.

    The work itself must not wait for other processes.
    """
    if not several():
        yield
        return
    failure = None
    try:
        yield
    except Exception as error:
        failure = error
    failed = np.flatnonzero(multihost_utils.process_allgather(np.asarray(failure is not None)))
    if not failed.size:
        return
    source = int(failed[0])
    said = from_process(source, in_short(failure).encode() if failure else b"").decode()
    everywhere = failed.size == jax.process_count() or source == 0
    raise FailedTogether(said if everywhere else f"process {source}: {said}") from failure


def from_process(source: int, data: bytes) -> bytes:
    """The bytes that one process has, on all processes."""
    if not several():
        return data
    mine = jax.process_index() == source
    size = np.array(divmod(len(data), AT_ONCE), dtype=np.int32)  # 32 bits hold less than 2 GB
    whole, rest = map(int, multihost_utils.broadcast_one_to_all(size, is_source=mine))
    sent = np.zeros(whole * AT_ONCE + rest, dtype=np.uint8)
    if mine:
        sent[:] = np.frombuffer(data, dtype=np.uint8)
    parts = [sent[begin : begin + AT_ONCE] for begin in range(0, sent.size, AT_ONCE)]
    return b"".join(multihost_utils.broadcast_one_to_all(part, is_source=mine).tobytes() for part in parts)


def first_says(answer: bool) -> bool:
    """What process 0 says."""
    return bool(multihost_utils.broadcast_one_to_all(np.asarray(answer))) if several() else answer


def any_says(answer: bool) -> bool:
    """Whether any process says yes."""
    return bool(multihost_utils.process_allgather(np.asarray(answer)).any()) if several() else answer


def is_spread(array: Any) -> bool:
    """Whether parts of an array lie on the devices of other processes."""
    return isinstance(array, jax.Array) and not array.is_fully_addressable


def on_host(array: Any) -> np.ndarray:
    """The values of an array, whole on every process. An array that is spread over processes has the leading axes
    [learner, seed]. If it is large, it is gathered in parts of its third axis, because each device takes in a part.
    """
    if not is_spread(array):
        return np.asarray(array)
    rows = array.shape[2] if array.ndim > 2 else 1
    count = min(rows, -(-array.nbytes // AT_ONCE))
    if count < 2:
        return multihost_utils.process_allgather(array, tiled=True)
    ends = [rows * part // count for part in range(count + 1)]
    parts = [array[:, :, begin:end] for begin, end in pairwise(ends)]
    return np.concatenate([multihost_utils.process_allgather(part, tiled=True) for part in parts], axis=2)


def by_name_on_host(arrays: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Numbers `[learner, seed]` by name, whole on every process; those that are spread are sent all at once."""
    if not any(map(is_spread, arrays.values())):
        return {name: np.asarray(array) for name, array in arrays.items()}
    return dict(zip(arrays, on_host(jnp.stack(list(arrays.values()), axis=-1)).transpose(2, 0, 1), strict=True))


def meet(state: Any) -> None:
    """Let all processes exchange a little of the arrays that are spread over them. CPUs need this before long work: a
    process whose first contact with the others takes more than 30 seconds gives up (Gloo, in JAX 0.10).
    """
    spread = [leaf for leaf in jax.tree.leaves(state) if is_spread(leaf) and not is_key(leaf)]
    if spread:
        on_host(min(spread, key=lambda leaf: leaf.size))


def is_key(leaf: Any) -> bool:
    """Whether an array, or its shape, is of random keys."""
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def placed(tree: Any, like: Any) -> Any:
    """Arrays that every process has whole, placed as those of `like` are: each device takes its part."""

    def place(leaf, at):
        if not is_spread(at):
            return jax.device_put(leaf, at.sharding)
        if is_key(at):
            data = place(jax.random.key_data(leaf), jax.random.key_data(at))
            return jax.random.wrap_key_data(data, impl=jax.random.key_impl(at))
        values = np.asarray(leaf, at.dtype)
        return jax.make_array_from_callback(values.shape, at.sharding, lambda part: values[part])

    return jax.tree.map(place, tree, like)
