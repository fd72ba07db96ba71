"""What every published figure must say of itself, so that its runs can be made one after the other."""

import pytest

from coplayer.experiments.registry import built_on, experiment_of
from coplayer.reproduce.reproduce import STUDIES
from coplayer.reproduce.studies import Study

CASES = [(name, preset) for name in STUDIES for preset in ("quick", "paper")]


@pytest.mark.parametrize("study", STUDIES.values(), ids=STUDIES)
def test_a_study_has_words_times_and_a_drawing(study):
    assert study.shows and study.source and callable(study.draw)
    assert list(study.minutes) == ["quick", "paper"]
    assert all(minutes is None or minutes > 0 for minutes in study.minutes.values())


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_runs_can_be_trained_and_build_on_earlier_ones(name, preset):
    made = []
    for run, settings in STUDIES[name].runs(preset).items():
        experiment_of(settings).check(settings)
        assert {str(path) for path in built_on(settings).values()} <= set(made)
        made.append(run)


@pytest.mark.parametrize(("name", "preset"), CASES)
def test_every_part_has_runs(name, preset):
    runs = STUDIES[name].runs(preset)
    for part in STUDIES[name].parts:
        assert any(run.startswith(f"{part}-") for run in runs)


def test_a_study_has_no_parts_unless_it_names_them():
    assert Study("a figure", "a paper", {}, lambda preset: {}, lambda folders, settings, path: []).parts == ()
