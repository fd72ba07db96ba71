"""Checkpoints: named arrays and a small JSON head in one compressed file, which is complete or absent.

The two newest are kept. A damaged one is named in the error, with the one before it as the way out.
"""

import io
import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from coplayer.errors import CoplayerError, require
from coplayer.runs.files import write_atomically

KEPT = 2


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
        head, arrays = load(paths[-1])
        return Checkpoint(head["step"], head["rows"], arrays, paths[-1])
    except CoplayerError as error:
        before = f"go on from {paths[-2].name}" if len(paths) > 1 else "start from the beginning"
        raise CoplayerError(f"{error}; remove it to {before}") from error


def last(folder: Path) -> Checkpoint:
    """The newest checkpoint of a finished run."""
    found = newest(folder)
    require(found is not None, f"{folder}: has no checkpoint, which is needed beside the agents")
    return found


def _all(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.npz"))


def dump(arrays: dict[str, np.ndarray], head: dict) -> bytes:
    """The bytes of a compressed file of `arrays` with `head` beside them."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, head=np.frombuffer(json.dumps(head).encode(), dtype=np.uint8), **arrays)
    return buffer.getvalue()


def load(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Head and arrays of a file written by `dump`; every byte is checked."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return json.loads(arrays.pop("head").tobytes()), arrays
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CoplayerError(f"{path}: unreadable or cut short ({type(error).__name__})") from error


def flatten(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """A pytree's arrays by path, random keys as their data."""

    def raw(leaf):
        return jax.random.key_data(leaf) if _is_key(leaf) else leaf

    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {prefix + jax.tree_util.keystr(path): np.asarray(raw(leaf)) for path, leaf in leaves}


def unflatten(like: Any, arrays: dict[str, np.ndarray], prefix: str) -> Any:
    """A pytree with the structure of `like`, which has arrays or their shapes, and the values from `arrays`."""

    def value(path, leaf):
        name = prefix + jax.tree_util.keystr(path)
        require(name in arrays, f"checkpoint: it has no array {name!r}; it was made with other settings")
        array = arrays[name]
        if _is_key(leaf):
            return jax.random.wrap_key_data(array, impl=jax.random.key_impl(leaf))
        require(
            array.shape == leaf.shape,
            f"checkpoint: array {name!r} has shape {array.shape}, these settings need {leaf.shape}",
        )
        return array

    return jax.tree_util.tree_map_with_path(value, like)


def _is_key(leaf: Any) -> bool:
    return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
