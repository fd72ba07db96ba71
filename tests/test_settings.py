"""Settings in groups: changed by their own names, and kept within their limits."""

import math
from dataclasses import dataclass

import pytest

from coplayer.errors import CoplayerError
from coplayer.settings import adjust, check_limits, each, flat, groups_of, setting


@dataclass(frozen=True)
class Size:
    """Size"""

    width: int = setting(4)
    """Width."""
    depth: int = setting(0, at_least=0)
    """Depth."""
    fast: bool = True
    """Fast."""


KNOWN = {"left": 1, "right": 2}  # a registry


@dataclass(frozen=True)
class Rates:
    """Rates"""

    share: float = setting(0.5, at_least=0, at_most=1)
    """Share."""
    decay: float = setting(0.9, at_least=0, below=1)
    """Decay."""
    shape: str = setting("linear", among=("linear", "cosine"))
    """Shape."""
    parts: tuple[str, ...] = setting(("left",), among=KNOWN)
    """Parts."""
    least: float | None = None
    """Least."""


@dataclass(frozen=True)
class Settings:
    """Of a made-up experiment."""

    game: str = "a game"
    size: Size = Size()
    rates: Rates = Rates(share=0.25)


def test_settings_are_changed_by_their_own_names():
    settings = adjust(Settings(), width=8, share=1.0, game="another")
    assert settings == Settings("another", Size(width=8), Rates(share=1.0))
    assert adjust(Settings(), size=Size(1, 2), shape="cosine") == Settings(
        size=Size(1, 2), rates=Rates(0.25, shape="cosine")
    )
    assert adjust(Settings()) == Settings()


@pytest.mark.parametrize("group", [3, None, Rates(), Size])
def test_a_group_of_another_kind_is_refused(group):
    with pytest.raises(CoplayerError, match=r"^size: must be a Size, got"):
        adjust(Settings(), size=group)


@pytest.mark.parametrize("settings", [3, None, Size(), Settings, {"game": 1}])
def test_only_settings_of_an_experiment_are_adjusted(settings):
    with pytest.raises(CoplayerError, match=r"^settings: must be the settings of an experiment, got"):
        adjust(settings, width=8)


@pytest.mark.parametrize("parts", [(), ("left", "up"), ("up",)])
def test_texts_are_among_those_of_a_registry(parts, monkeypatch):
    check_limits(adjust(Settings(), parts=("right", "left", "right")))
    with pytest.raises(CoplayerError, match=r"^parts: must be of left, right, got"):
        check_limits(adjust(Settings(), parts=parts))
    monkeypatch.setitem(KNOWN, "up", 3)
    check_limits(adjust(Settings(), parts=("up",)))


def test_a_name_that_is_no_setting_is_refused_with_those_that_are():
    with pytest.raises(CoplayerError, match=r"^height: is not a setting of Settings; these are width, depth, fast"):
        adjust(Settings(), height=3)


def test_the_single_settings_are_told_with_their_groups():
    assert groups_of(Settings()) == {"size": Size(), "rates": Rates(share=0.25)}
    told = [(group, field.name, value) for group, field, value in each(Settings())]
    assert told[:4] == [("size", "width", 4), ("size", "depth", 0), ("size", "fast", True), ("rates", "share", 0.25)]
    assert flat(Settings()) == {
        "game": "a game", "width": 4, "depth": 0, "fast": True, "share": 0.25, "decay": 0.9, "shape": "linear",
        "parts": ("left",), "least": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("width", 0, "a finite number above 0"),
        ("width", -1, "a finite number above 0"),
        ("depth", -1, "a finite number of at least 0"),
        ("share", -0.1, "a finite number of at least 0 and at most 1"),
        ("share", 1.1, "a finite number of at least 0 and at most 1"),
        ("share", math.nan, "a finite number of at least 0 and at most 1"),
        ("decay", 1.0, "a finite number of at least 0 and below 1"),
        ("decay", -math.inf, "a finite number of at least 0 and below 1"),
        ("least", 0.0, "a finite number above 0"),
        ("shape", "cubic", "one of linear, cosine"),
    ],
)
def test_what_is_outside_its_limits_is_refused_by_name(name, value, allowed):
    with pytest.raises(CoplayerError, match=f"^{name}: must be {allowed}, got {value!r}$"):
        check_limits(adjust(Settings(), **{name: value}))


@pytest.mark.parametrize(
    "values",
    [{}, {"width": 1}, {"depth": 0}, {"share": 0.0}, {"share": 1.0}, {"decay": 0.0}, {"fast": False}, {"least": 0.1}],
)
def test_what_is_within_its_limits_is_allowed(values):
    check_limits(adjust(Settings(), **values))
