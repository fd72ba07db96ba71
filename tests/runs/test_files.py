"""Files that are whole or absent."""

import errno
import os

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.runs.files import append, jsonable, whole_folder, write_atomically


def test_numbers_become_json():
    assert jsonable(np.array([[1.23456, np.nan], [2.0, -0.00001]]), digits=3) == [[1.235, None], [2.0, -0.0]]


def test_a_folder_is_there_whole_or_not_at_all(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(KeyboardInterrupt), whole_folder(out) as made_in:
        made_in.mkdir()
        (made_in / "half").touch()
        raise KeyboardInterrupt
    assert not any(out.iterdir())
    with whole_folder(out) as made_in:
        made_in.mkdir()
        (made_in / "all").touch()
    assert [path.name for path in out.iterdir()] == ["all"] and list(tmp_path.iterdir()) == [out]
    with pytest.raises(CoplayerError, match="exists already; name a new folder"), whole_folder(out):
        pass


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "folder" / "file"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert path.read_bytes() == b"two" and [file.name for file in path.parent.iterdir()] == ["file"]
    append(path, b" and three")
    assert path.read_bytes() == b"two and three"


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "the disk is full"), (errno.EACCES, "Permission denied")])
def test_what_cannot_be_written_is_one_line_and_leaves_what_was_there(code, words, tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"one")

    def fails(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fails)
    for write in (write_atomically, append):
        with pytest.raises(CoplayerError, match=f"cannot write {path}: {words}") as error:
            write(path, b"two")
        assert "\n" not in str(error.value)
    assert path.read_bytes().startswith(b"one")
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
