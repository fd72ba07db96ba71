"""The groups of settings that experiments share, and what is refused of them."""

import re
from dataclasses import fields, is_dataclass

import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.settings import (
    SEED_BOUND,
    IterationSettings,
    RunSettings,
    check_annealing,
    check_first,
    check_iterations,
    check_seeds,
)
from coplayer.flags import documentation
from coplayer.settings import adjust, each, groups_of
from tiny import TINY_A2C

EXPERIMENTS = {name: registry.settings_type(experiment)() for name, experiment in registry.EXPERIMENTS.items()}


def test_seeds_are_32_bit_integers():
    check_seeds(RunSettings(seed=SEED_BOUND - 1))
    with pytest.raises(CoplayerError, match=rf"seed: must be at most {SEED_BOUND - 2} with 2 seed\(s\), got"):
        check_seeds(RunSettings(seed=SEED_BOUND - 1, seeds=2))


def test_iterations_come_out_in_phases_and_rows():
    check_iterations(IterationSettings(phases=2, log_every=5, iterations=20))
    with pytest.raises(CoplayerError, match=r"iterations: must be a multiple of phases \* log_every = 10, got 25"):
        check_iterations(IterationSettings(phases=2, log_every=5, iterations=25))


@pytest.mark.parametrize(("value", "fits"), [(0, True), (15, True), (20, False), (12, False)])
def test_first_iterations_are_whole_rows_and_leave_some(value, fits):
    run = IterationSettings(phases=2, log_every=5, iterations=20)
    if fits:
        check_first("first", value, run)
    else:
        with pytest.raises(CoplayerError, match=f"first: .* multiple of log_every = 5 below .* = 20, got {value}"):
            check_first("first", value, run)


@pytest.mark.parametrize("name", ["entropy_from", "lambda_from", "learning_rate_from"])
def test_nothing_falls_or_rises_after_the_training(name):
    check_annealing(adjust(TINY_A2C, **{name: 11}))
    with pytest.raises(CoplayerError, match=f"{name}: must be below iterations = 12, got 12"):
        check_annealing(adjust(TINY_A2C, **{name: 12}))
    check_annealing(adjust(TINY_A2C, **{name: 5}), 6)
    with pytest.raises(CoplayerError, match=f"{name}: must be below iterations - tabular_iterations = 6, got 6"):
        check_annealing(adjust(TINY_A2C, **{name: 6}), 6)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_setting_has_its_line_of_help_and_every_group_its_title(name):
    for group in groups_of(EXPERIMENTS[name]).values():
        assert is_dataclass(group) and re.match(r"[A-Z]", type(group).__doc__), type(group)
        told = documentation(type(group))
        for field in fields(group):
            assert told.get(field.name, "").endswith("."), f"{type(group).__name__}.{field.name}"


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_line_of_help_stands_alone(name):
    """It names its subject: no pronoun that points to the line above."""
    for group, field, _ in each(EXPERIMENTS[name]):
        text = documentation(type(getattr(EXPERIMENTS[name], group)))[field.name]
        assert not re.match(r"(It|Its|They|Their|These|This|The same|Likewise)\b", text), f"{field.name}: {text}"
