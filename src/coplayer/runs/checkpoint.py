"""Checkpoints: named arrays and a small JSON head in one compressed file, which is complete or absent.

The two newest are kept. A damaged one is named in the error, with the one before it as the way out.
"""

import io
import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from coplayer.errors import CoplayerError, require
from coplayer.runs.files import JSON_ERRORS, loads, most_bytes, write_atomically
from coplayer.runs.hosts import is_key, on_host

KEPT = 2
HEADER = 1024  # bytes before an array in a file, at most
UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, EOFError, OverflowError, RuntimeError, SyntaxError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)
"""What a damaged file makes zipfile and NumPy raise."""


class Checkpoint(NamedTuple):
    """A state of a run, and where it stood."""

    step: int  # chunks done
    rows: int  # rows of metrics.jsonl written by then
    arrays: dict[str, np.ndarray]
    path: Path


def write(folder: Path, step: int, rows: int, arrays: dict[str, np.ndarray]) -> None:
    write_atomically(folder / f"{step:08d}.npz", dump(arrays, {"step": step, "rows": rows}))
    for old in _all(folder)[:-KEPT]:
        old.unlink()


def newest(folder: Path) -> Checkpoint | None:
    """The newest checkpoint, or None if the run was killed before its first."""
    paths = _all(folder)
    if not paths:
        return None
    try:
        return stored_in(_contents(paths[-1]), paths[-1])
    except CoplayerError as error:
        before = f"go on from {paths[-2].name}" if len(paths) > 1 else "start from the beginning"
        raise CoplayerError(f"{error}; remove it to {before}") from error


def stored_in(data: bytes, path: Path) -> Checkpoint:
    """The checkpoint that is the contents of `path`."""
    head, arrays = _unpacked(data, path)
    require({"step", "rows"} <= head.keys(), f"{path}: its head does not tell where the run stood")
    return Checkpoint(head["step"], head["rows"], arrays, path)


def last(folder: Path) -> Checkpoint:
    """The newest checkpoint of a finished run."""
    found = newest(folder)
    require(found is not None, f"{folder}: has no checkpoint, which is needed beside the agents")
    return found


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.npz"))


def dump(arrays: dict[str, np.ndarray], head: dict) -> bytes:
    """The bytes of a file of `arrays` with `head` beside them. It is compressed, unless that makes it so small that
    `load` would refuse it.
    """
    members = {"head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **arrays}
    packed = _saved(np.savez_compressed, members)
    unpacked = sum(np.asarray(array).nbytes + HEADER for array in members.values())
    return packed if unpacked <= most_bytes(len(packed)) else _saved(np.savez, members)


def _saved(save: Callable[..., None], members: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    save(buffer, **members)
    return buffer.getvalue()


def load(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Head and arrays of a file written by `dump`; every byte is checked. Nothing in the file is run.

    The sizes that the file claims are checked before any array is read (see `_check_claims`). Raises `CoplayerError` of
    one line for a file that is damaged, or that `dump` cannot have written.
    """
    return _unpacked(_contents(path), path)


def _contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CoplayerError(f"{path}: unreadable or cut short ({type(error).__name__})") from error


def _unpacked(data: bytes, path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Head and arrays of the contents of `path` (see `load`)."""
    try:
        _check_claims(data, path)
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        head = loads(arrays.pop("head").tobytes())
    except CoplayerError:
        raise
    except (*UNREADABLE, *JSON_ERRORS) as error:
        raise CoplayerError(f"{path}: unreadable or cut short ({type(error).__name__})") from error
    numbers = isinstance(head, dict) and all(type(value) is int and value >= 0 for value in head.values())
    require(numbers, f"{path}: its head must be an object of whole numbers")
    return head, arrays


def load_agents(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an agents file. Raises `CoplayerError` also for numbers that are not finite."""
    _, arrays = load(path)
    for name, array in arrays.items():
        require(bool(np.isfinite(array).all()), f"{path}: array {name!r} has numbers that are not finite")
    return arrays


def _check_claims(data: bytes, path: Path) -> None:
    """Refuse a file whose arrays are not plain numbers or are not as large as they claim. Refuse also a file whose
    arrays together are too many for its size. Only headers are read.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = file.infolist()
        most, claimed = most_bytes(len(data)), sum(member.file_size for member in members)
        require(claimed <= most, f"{path}: claims to unpack to {claimed / 1e6:.0f} MB, more than {most / 1e6:.0f} MB")
        for member in members:
            require(member.filename.endswith(".npy"), f"{path}: holds {member.filename!r}, which is no array")
            with file.open(member) as stream:
                version = np.lib.format.read_magic(stream)
                read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
                shape, _, dtype = read[version](stream)
                plain = dtype.kind in "biuf" and all(size >= 0 for size in shape)
                size = stream.tell() + math.prod(shape) * dtype.itemsize
            require(
                plain and size == member.file_size,
                f"{path}: array {member.filename!r} claims {dtype} of shape {shape}, which it does not hold",
            )


def flatten(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """A pytree's arrays by path, random keys as their data."""

    def raw(leaf):
        return jax.random.key_data(leaf) if is_key(leaf) else leaf

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {prefix + jax.tree_util.keystr(path): on_host(raw(leaf)) for path, leaf in leaves}


def unflatten(like: Any, arrays: dict[str, np.ndarray], prefix: str) -> Any:
    """A pytree with the structure of `like`, which has arrays or their shapes, and the values from `arrays`."""

    def value(path, leaf):
        name = prefix + jax.tree_util.keystr(path)
        require(name in arrays, f"checkpoint: it has no array {name!r}; it was made with other settings")
        array = arrays[name]
        data = jax.eval_shape(jax.random.key_data, leaf) if is_key(leaf) else leaf
        require(
            array.shape == data.shape,
            f"checkpoint: array {name!r} has shape {array.shape}, these settings need {data.shape}",
        )
        require(
            np.can_cast(array.dtype, data.dtype, "same_kind"),
            f"checkpoint: array {name!r} has {array.dtype}, these settings need {data.dtype}",
        )
        return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf)) if is_key(leaf) else array

    return jax.tree_util.tree_map_with_path(value, like)
