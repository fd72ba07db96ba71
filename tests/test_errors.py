"""Errors that users see: one line that names the setting."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.errors import CoplayerError, first_line, in_short, require, require_key, require_kind, require_whole


def test_what_holds_raises_nothing_and_what_does_not_its_message():
    require(True, "never")
    with pytest.raises(CoplayerError, match=r"^rounds: too few$"):
        require(False, "rounds: too few")


@pytest.mark.parametrize("value", [2, 7, np.int64(3)])
def test_whole_numbers_that_are_large_enough_pass(value):
    require_whole("rounds", value, at_least=2)


@pytest.mark.parametrize("value", [1, -3, 2.0, "3", None, [4], True])
def test_other_values_are_refused_by_name(value):
    with pytest.raises(CoplayerError) as refused:
        require_whole("rounds", value, at_least=2)
    assert str(refused.value) == f"rounds: must be a whole number of at least 2, got {value!r}"


def test_random_keys_pass_and_other_values_do_not():
    require_key(jax.random.key(0))
    for value in (0, None, jax.random.PRNGKey(0), jnp.zeros(2), jax.random.split(jax.random.key(0))):
        with pytest.raises(CoplayerError, match=r"^key: must be one random key such as jax.random.key\(0\), got "):
            require_key(value)


def test_values_of_another_kind_are_refused_by_name():
    require_kind("table", np.zeros(2), np.ndarray)
    with pytest.raises(CoplayerError, match=r"^table: must be a ndarray, got 3$"):
        require_kind("table", 3, np.ndarray)


def test_the_first_line_of_an_error():
    assert first_line(ValueError("bad luck\nat length")) == "bad luck"
    assert first_line(SystemExit()) == ""


def test_an_error_in_short():
    assert in_short(ValueError("bad luck\nat length")) == "ValueError: bad luck"
    assert in_short(CoplayerError("rounds: too few")) == "rounds: too few"
