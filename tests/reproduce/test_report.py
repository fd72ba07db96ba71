"""The report of a run: whose values it shows, in whose words; from folders whose numbers are known."""

import numpy as np
import pytest

from coplayer.analysis.evaluation import FROZEN, LEARNER, TABULAR
from coplayer.errors import CoplayerError
from coplayer.figures.published import Bound, Panel
from coplayer.reproduce import report
from coplayer.runs.folder import RunFolder, append_rows

PANEL = Panel("1A", "PPI", "phase", {"vs_learner": "ppi_vs_ppi"}, {"cooperation_vs_learner": Bound(at_least=0.8)})


def folder_of(path, *sides, measures=("cooperation",), phases=4):
    """A run of two seeds and two learners: value = 100 phase + 10 seed + learner, and a thousandth of it."""
    folder = RunFolder.create(path, {"experiment": "x", "settings": {}})
    rows = []
    for phase in range(1, phases + 1):
        for seed in range(2):
            for learner in range(2):
                value = 100.0 * phase + 10 * seed + learner
                row = {"phase": phase, "seed": seed, "learner": learner}
                for side in sides:
                    row |= {f"reward_{side}": value} | {f"{name}_{side}": value / 1000 for name in measures}
                rows.append(row)
    append_rows(folder.metrics_file, rows)
    return folder


@pytest.mark.parametrize(
    "sides",
    [
        ["vs_learner"],
        ["vs_learner", "vs_tabular"],
        ["vs_tabular", "of_tabular"],
        ["vs_frozen", "of_frozen"],
        ["vs_learner", "vs_naive", "of_naive"],
        ["vs_naive", "of_naive", "vs_bots", "of_bots", "vs_odd_ones"],  # kinds of one's own come last
    ],
)
def test_sides_are_those_that_were_measured(sides, tmp_path):
    folder = folder_of(tmp_path / "run", *sides)
    assert report.sides(folder) == sides
    assert report.learners_meet(folder) == ("vs_learner" in sides)
    assert report.sides(folder, ("saving",)) == [] and report.sides(folder, ()) == sides


def test_a_side_counts_if_it_was_measured_in_the_last_phase_and_completely(tmp_path):
    folder = folder_of(tmp_path / "run", "vs_learner")
    append_rows(folder.metrics_file, [{"phase": 5, "seed": 0, "learner": 0, "reward_vs_naive": 1.0}])
    assert report.sides(folder) == [] and report.sides(folder, ()) == ["vs_naive"]


def test_kinds_of_co_players_in_words():
    panel = Panel("", "PPI", "phase")
    assert report.side_label(panel, "vs_odd_ones") == "PPI against odd ones"
    assert report.side_label(panel, "of_frozen") == "frozen agent against PPI"
    assert report.side_in_words("vs_odd_ones") == " against odd ones" and report.side_in_words("of_bots") == " of bots"
    assert report.side_in_words("of_naive") == " of the naive learners"


def test_learners_who_meet_are_averaged_and_others_are_repetitions(tmp_path):
    together, apart = folder_of(tmp_path / "one", "vs_learner"), folder_of(tmp_path / "two", "vs_tabular")
    x, values = report.repetitions(together, "reward_vs_learner")
    np.testing.assert_array_equal(x, [1, 2, 3, 4])
    np.testing.assert_allclose(values, [[100.5, 200.5, 300.5, 400.5], [110.5, 210.5, 310.5, 410.5]])
    _, values = report.repetitions(apart, "reward_vs_tabular")
    np.testing.assert_allclose(values[:, 0], [100, 110, 101, 111])
    evaluation = np.arange(12.0).reshape(2, 2, 3)  # [seed, learner, round]
    np.testing.assert_array_equal(report.evaluated(together, evaluation), evaluation.mean(1))
    np.testing.assert_array_equal(report.evaluated(apart, evaluation), evaluation[[0, 1, 0, 1], [0, 0, 1, 1]])


def test_training_is_drawn_beside_the_published_points_where_they_compare(tmp_path):
    folder = folder_of(tmp_path / "run", "vs_learner", "vs_tabular")
    first, second = report.training_lines(folder, PANEL, compare=True)
    assert first.label == "PPI against PPI" and second.label == "PPI against tabular"
    assert list(first.values) == ["reward", "cooperation"]
    assert set(first.published) == {"reward", "cooperation"} and second.published is None
    assert report.training_lines(folder, PANEL, compare=False)[0].published is None


def test_a_game_is_drawn_and_tabulated_by_its_own_measures(tmp_path):
    folder = folder_of(tmp_path / "run", "vs_learner", measures=("saving", "coins_left"))
    measures = ("saving", "coins_left")
    (line,) = report.training_lines(folder, PANEL, compare=False, measures=measures)
    assert list(line.values) == ["reward", "saving", "coins_left"]
    rows = report.training_quantities(folder, PANEL, compare=False, measures=measures)
    assert [row.name for row in rows] == [
        f"{name}, learner against learner" for name in ("saving", "coins left", "reward")
    ]
    np.testing.assert_allclose(rows[0].ours, [0.3005, 0.3105])  # phases 2 to 4, both learners


def test_the_end_of_training_is_set_beside_the_paper(tmp_path):
    rows = report.training_quantities(folder_of(tmp_path / "run", "vs_learner"), PANEL, compare=True)
    cooperation, _ = rows
    assert [row.name for row in rows] == [f"{name}, learner against learner" for name in ("cooperation", "reward")]
    np.testing.assert_allclose(cooperation.ours, [0.3005, 0.3105])
    assert cooperation.at_least == 0.8 and cooperation.paper == pytest.approx(0.9, abs=0.01)


def evaluation(*names, rounds=10):
    """Curves that rise from 0 to 1, shifted by a tenth for the co-player."""
    rise = np.linspace(0, 1, rounds) * np.ones((2, 2, 1))
    curves = {"reward": rise, "saving": rise / 2, "other_reward": rise + 0.1, "other_saving": rise / 2 + 0.1}
    lines = {name: np.full((2, 2), value) for name, value in (("share", 0.8), ("slope", 2.0), ("correlation", 1.0))}
    return dict.fromkeys(names, curves | lines)


def test_agents_of_games_without_named_opponents_are_tabulated_from_both_sides(tmp_path):
    folder = folder_of(tmp_path / "run", "vs_learner")
    final = evaluation(LEARNER, TABULAR, FROZEN)
    rows = report.evaluation_quantities(folder, PANEL, final, compare=False, measures=("saving",))
    assert [row.name for row in rows] == [
        "reward against the other learner, evaluated",
        "saving against the other learner, evaluated",
        *(f"{name} {word} fresh tabular, evaluated" for word in ("against", "of") for name in ("reward", "saving")),
        *(f"{name} {word} the frozen player, evaluated" for word in ("against", "of") for name in ("reward", "saving")),
        "share of the reward against the frozen player",
        "slope of own reward on the frozen player's, by episode",
        "correlation of both rewards, by episode",
    ]
    means = [row.ours.mean() for row in rows]
    np.testing.assert_allclose(means, [0.5, 0.25, *[0.5, 0.25, 0.6, 0.35] * 2, 0.8, 2, 1])
    assert report.evaluation_quantities(folder, PANEL, {}, compare=False) == []


def test_curves_of_the_evaluation_are_by_round_or_by_phase(tmp_path):
    folder = folder_of(tmp_path / "run", "vs_learner")
    result = {2: evaluation(LEARNER, TABULAR), 4: evaluation(LEARNER, TABULAR)}
    own, tabular = report.evaluation_lines(folder, result, 4, ("saving",))
    assert (own.label, tabular.label) == ("the other learner", "tabular")
    np.testing.assert_array_equal(own.x, np.arange(1, 11))
    np.testing.assert_allclose(own.values["saving"][0], np.linspace(0, 0.5, 10))
    own, _ = report.evaluation_lines(folder, result, None, ("saving",))
    np.testing.assert_array_equal(own.x, [2, 4])
    np.testing.assert_allclose(own.values["reward"], 0.5)


def test_phases_are_chosen_by_words(tmp_path):
    folder = folder_of(tmp_path / "run", "vs_learner")
    with pytest.raises(CoplayerError, match="no phase is done yet"):
        report.choose_phases(folder, "last")
    for phase in range(1, 14):
        folder.agents_file(phase).write_bytes(b"")
    assert report.choose_phases(folder, "last") == [13]
    assert report.choose_phases(folder, "all") == list(range(1, 14))
    assert report.choose_phases(folder, "few") == [1, 3, 5, 7, 9, 11, 13]
    with pytest.raises(CoplayerError, match="phases: must be one of last, all, few, got 'some'"):
        report.choose_phases(folder, "some")
