"""Errors that users see: one line that names the setting."""

import jax
import numpy as np
import pytest

from coplayer.errors import CoplayerError, first_line, require, require_key, require_whole


def test_what_holds_raises_nothing_and_what_does_not_its_message():
    require(True, "never")
    with pytest.raises(CoplayerError, match=r"^rounds: too few$"):
        require(False, "rounds: too few")


@pytest.mark.parametrize("value", [2, 7, np.int64(3)])
def test_whole_numbers_that_are_large_enough_pass(value):
    require_whole("rounds", value, at_least=2)


@pytest.mark.parametrize("value", [1, -3, 2.0, "3", None, [4]])
def test_other_values_are_refused_by_name(value):
    with pytest.raises(CoplayerError) as refused:
        require_whole("rounds", value, at_least=2)
    assert str(refused.value) == f"rounds: must be a whole number of at least 2, got {value!r}"


def test_random_keys_pass_and_other_values_do_not():
    require_key(jax.random.key(0))
    require_key(jax.random.PRNGKey(0))
    with pytest.raises(CoplayerError, match=r"^key: must be a random key such as jax.random.key\(0\), got 0$"):
        require_key(0)


def test_the_first_line_of_an_error():
    assert first_line(ValueError("bad luck\nat length")) == "bad luck"
    assert first_line(SystemExit()) == ""
