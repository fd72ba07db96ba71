"""Whether a run fits the memory of its device."""

import pytest

from coplayer.errors import CoplayerError
from coplayer.runs import memory


def test_free_memory_is_a_number_of_bytes():
    assert memory.available_bytes() > 2**20


def test_a_run_that_does_not_fit_is_one_line_with_advice(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 2 * 10**9)
    memory.require_fit(2 * 10**9, "lower --hidden")
    with pytest.raises(CoplayerError, match=r"needs about 3.0 GB and 2.0 GB are free: lower --hidden"):
        memory.require_fit(3 * 10**9, "lower --hidden")


def test_where_memory_is_unknown_every_run_may_try(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: None)
    memory.require_fit(10**18, "lower --hidden")
