"""Checkpoints: written, read back, and refused where a byte is wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.runs import checkpoint, files

ARRAYS = {"weights": np.arange(6.0).reshape(2, 3), "counts": np.array([1, 2], dtype=np.uint8)}


def test_a_file_gives_back_its_head_and_arrays(tmp_path):
    (tmp_path / "file.npz").write_bytes(checkpoint.dump(ARRAYS, {"phase": 3}))
    head, arrays = checkpoint.load(tmp_path / "file.npz")
    assert head == {"phase": 3} and arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_the_two_newest_are_kept(tmp_path):
    assert checkpoint.newest(tmp_path) is None
    with pytest.raises(CoplayerError, match="has no checkpoint"):
        checkpoint.last(tmp_path)
    for step in (1, 2, 10):
        checkpoint.write(tmp_path, step, 7 * step, ARRAYS)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["00000002.npz", "00000010.npz"]
    found = checkpoint.newest(tmp_path)
    assert (found.step, found.rows, found.path.name) == (10, 70, "00000010.npz")


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"", lambda data: b"PK" + data[2:60]])
def test_a_damaged_one_is_named_with_the_way_out(damage, tmp_path):
    checkpoint.write(tmp_path, 1, 0, ARRAYS)
    first = tmp_path / "00000001.npz"
    whole = first.read_bytes()
    first.write_bytes(damage(whole))
    with pytest.raises(CoplayerError, match=r"unreadable or cut short .*; remove it to start from the beginning"):
        checkpoint.newest(tmp_path)
    first.write_bytes(whole)
    checkpoint.write(tmp_path, 2, 0, ARRAYS)
    (tmp_path / "00000002.npz").write_bytes(damage(whole))
    with pytest.raises(CoplayerError, match=r"unreadable or cut short .*; remove it to go on from 00000001.npz"):
        checkpoint.newest(tmp_path)


def test_a_pytree_with_a_key_comes_back():
    tree = {"key": jax.random.key(3), "more": (jnp.arange(2), {"x": jnp.ones(())})}
    arrays = checkpoint.flatten(tree, "state")
    assert all(name.startswith("state[") for name in arrays)
    again = checkpoint.unflatten(tree, arrays, "state")
    assert jax.tree.structure(again) == jax.tree.structure(tree)
    np.testing.assert_array_equal(jax.random.key_data(again["key"]), jax.random.key_data(tree["key"]))
    np.testing.assert_array_equal(again["more"][0], tree["more"][0])


def test_arrays_of_other_settings_are_refused():
    arrays = checkpoint.flatten({"x": jnp.ones(3)}, "state")
    with pytest.raises(CoplayerError, match=r"has no array .*y.*; it was made with other settings"):
        checkpoint.unflatten({"y": jnp.ones(3)}, arrays, "state")
    with pytest.raises(CoplayerError, match=r"has shape \(3,\), these settings need \(4,\)"):
        checkpoint.unflatten({"x": jnp.ones(4)}, arrays, "state")


def test_what_shrinks_to_almost_nothing_is_stored_as_it_is_and_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FREELY", 10_000)
    arrays = {"episodes": np.zeros((1000, 1000), np.uint8)}
    checkpoint.write(tmp_path, 3, 0, arrays)
    np.testing.assert_array_equal(checkpoint.last(tmp_path).arrays["episodes"], arrays["episodes"])
    noise = {"weights": np.random.default_rng(0).normal(size=1000)}
    assert len(checkpoint.dump(noise, {})) < 8000 + 1000  # compressed, as before
