"""Values of declared types, and settings as config.json has them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import stored
from coplayer.games import names
from coplayer.settings import adjust
from tiny import TINY_A2C
from vault import Vault


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        (int, 3, 3),
        (int, np.int32(3), 3),
        (float, 3, 3),
        (float, np.float64(0.5), 0.5),
        (bool, np.bool_(True), True),
        (str, "word", "word"),
        (Path | None, None, None),
        (Path | None, "runs/one", Path("runs/one")),
        (float | None, 1.5, 1.5),
        (tuple[float, ...], [1, 2.5], (1, 2.5)),
        (tuple[float, ...], np.array([1.0, 2.0]), (1.0, 2.0)),
        (tuple[str, int], ["a", 1], ("a", 1)),
        (tuple[tuple[float, ...], ...], [[1.0], []], ((1.0,), ())),
        (Literal["a", "b"], "a", "a"),
        (Any, {"x": 1}, {"x": 1}),
    ],
)
def test_values_become_what_is_declared(kind, value, expected):
    found = stored.as_kind(value, kind, "name")
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "value", "allowed"),
    [
        (int, "3", "a whole number"),
        (int, 3.0, "a whole number"),
        (int, True, "a whole number"),
        (float, "0.5", "a number"),
        (float, None, "a number"),
        (bool, 1, "true or false"),
        (bool, None, "true or false"),
        (str, 3, "a text"),
        (Path | None, 3, "a path or none"),
        (float | None, "x", "a number or none"),
        (tuple[float, ...], 3.0, "a list of numbers"),
        (tuple[float, ...], ["a"], "a list of numbers"),
        (tuple[str, ...], "word", "a list of texts"),
        (tuple[str, int], ["a"], "a list of 2 values"),
        (Literal["a", "b"], "c", "one of a, b"),
    ],
)
def test_values_of_another_type_are_refused_by_name(kind, value, allowed):
    with pytest.raises(CoplayerError) as error:
        stored.as_kind(value, kind, "name")
    assert str(error.value) == f"name: must be {allowed}, got {value!r}"


def test_folders_of_other_runs_are_told_from_the_run_on(tmp_path):
    settings = adjust(TINY_A2C, start=tmp_path / "here" / "one")
    assert stored.built_on(settings) == {"start": tmp_path / "here" / "one"} and stored.built_on(TINY_A2C) == {}
    told = stored.described(settings, tmp_path / "here" / "two")
    assert told["co_players"]["start"] == "../one" and told["co_players"]["frozen"] is None
    assert stored.read(told, TINY_A2C, tmp_path / "there" / "two") == adjust(TINY_A2C, start=tmp_path / "there" / "one")


def test_unknown_settings_are_all_named():
    told = stored.described(TINY_A2C, Path("run"))
    told["network"] |= {"width": 3, "depth": 2}
    told["more"] = {}
    with pytest.raises(CoplayerError, match=r"^unknown setting more, depth, width$"):
        stored.read(told, TINY_A2C, Path("run"))


@dataclass(frozen=True)
class Odd(Vault):
    """A game with a setting that no file can hold."""

    board: Any = None


def test_a_game_that_no_file_can_hold_is_one_line(monkeypatch):
    monkeypatch.setattr(names, "GAMES", {**names.GAMES, "odd": Odd()})
    with pytest.raises(CoplayerError, match="game: the settings of Odd must be numbers, texts, or tuples of them"):
        stored.described(adjust(TINY_A2C, game=Odd(board=object())), Path("run"))
