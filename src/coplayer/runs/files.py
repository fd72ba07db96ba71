"""Writing files: a reader never sees half a file, and a full disk is one clear line. Reading files of others: nothing
in them is run, and none makes a small file into a large allocation.
"""

import contextlib
import csv
import errno
import io
import json
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coplayer.errors import CoplayerError, require

FREELY = 2**28  # bytes that a compressed file may always unpack to, whatever its own size
TIMES = 20  # its own size that it may unpack to beyond that; weights hardly shrink
JSON_ERRORS = (ValueError, RecursionError)
"""What `loads` raises for text that is no JSON, or that is nested too deeply."""


def most_bytes(packed: int) -> int:
    """Bytes that a compressed file of `packed` bytes may unpack to. More is taken for an attack on the memory."""
    return FREELY + TIMES * packed


def unzipped(data: bytes) -> bytes:
    """The contents of a gzip file. Raises `zlib.error`, `EOFError` or `ValueError` where it is damaged or too large."""
    unpacker, most = zlib.decompressobj(wbits=31), most_bytes(len(data))
    found = unpacker.decompress(data, most)
    if unpacker.unconsumed_tail:
        raise ValueError(f"unpacks to more than {most / 1e6:.0f} MB")
    if not unpacker.eof:
        raise EOFError
    return found


def loads(text: bytes) -> Any:
    """A value of JSON, whose numbers are all finite. Raises one of `JSON_ERRORS` for anything else."""
    return json.loads(text, parse_constant=_refuse)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a finite number")


def jsonable(array: np.ndarray, digits: int) -> list:
    """Nested lists with every number rounded to `digits` digits, and None for NaN, which JSON does not have."""
    rounded = np.round(array, digits)
    return np.where(np.isnan(rounded), None, rounded).tolist()


def write_rows(path: Path, rows: Iterable[Sequence]) -> None:
    """Write rows, the headings first, as a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_atomically(path, text.getvalue().encode())


def require_new_folder(out: Path) -> None:
    """Refuse a folder for results that holds files already, or that is a file."""
    new = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    require(new, f"out: {out} exists already; name a new folder")


@contextlib.contextmanager
def whole_folder(out: Path) -> Iterator[Path]:
    """The new folder `out`, which is there whole or not at all. Gives a folder beside it to write into, which becomes
    `out` at the end. Refuses an `out` that holds files.
    """
    require_new_folder(out)
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    yield partial
    if out.exists():
        out.rmdir()
    os.replace(partial, out)


def require_new_file(out: Path) -> None:
    """Refuse a file for results that exists already."""
    require(not out.exists(), f"out: {out} exists already; name a new file")


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
