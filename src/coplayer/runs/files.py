"""Writing files: a reader never sees half a file, and a full disk is one clear line."""

import contextlib
import errno
import os
from pathlib import Path

import numpy as np

from coplayer.errors import CoplayerError


def jsonable(array: np.ndarray, digits: int) -> list:
    """Nested lists with every number rounded to `digits` digits, and None for NaN, which JSON does not have."""
    rounded = np.round(array, digits)
    return np.where(np.isnan(rounded), None, rounded).tolist()


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` to a temporary neighbour, flush it to the disk, then rename it to `path`."""
    temporary = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def append(path: Path, data: bytes) -> None:
    """Append `data` to a file and flush it to the disk."""
    try:
        with open(path, "ab") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> CoplayerError:
    reason = "the disk is full" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    return CoplayerError(f"cannot write {path}: {reason}; what was saved before, if anything, is intact")
