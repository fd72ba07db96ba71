"""The figures of Weis et al. 2026: their runs, what is drawn of them, and the numbers in their tables. The runs'
numbers are known.
"""

import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.a2c_mixed import A2CMixed
from coplayer.experiments.ppi_mixed import PPIMixed
from coplayer.reproduce import reproduce, weis
from coplayer.runs.folder import RunFolder, append_rows
from coplayer.settings import adjust, flat
from figure_tables import rows_of
from stopping import StopAfter
from tiny import TINY_A2C
from toy import Saving

pytestmark = pytest.mark.usefixtures("compiled_once")

ROUNDS, SEEDS = 20, 2


def numbers_of(config, side, phase, learner, seed):
    """A cooperation rate and a reward that tell where they belong."""
    base = {"vs_learner": 0.5, "vs_tabular": 0.1, "of_tabular": 0.6, "vs_frozen": 0.4, "of_frozen": 0.7}[side]
    return base + 0.1 * learner + 0.02 * seed + 0.001 * phase, 2 * base + 0.1 * learner + 0.001 * phase


def sides_of(config):
    if config.co_players.frozen is not None:
        return ("vs_frozen", "of_frozen")
    if config.co_players.learner_share == 0:
        return ("vs_tabular", "of_tabular")
    return ("vs_learner",) if config.co_players.learner_share == 1 else ("vs_learner", "vs_tabular")


@pytest.fixture
def finished(tmp_path, monkeypatch):
    """`reproduce` without training: every run has the metrics of `numbers_of`, and evaluations are as follows."""

    def trained(config, path, preset, reporter):
        folder = RunFolder.create(path, registry.description(registry.experiment_of(config), config, path, preset))
        rows = []
        run = config.run
        for phase in range(1, run.phases + 1):
            for seed in range(run.seed, run.seed + run.seeds):
                for learner in (0, 1):
                    row = {"phase": phase, "iteration": 10 * phase, "seed": seed, "learner": learner}
                    for side in sides_of(config):
                        cooperation, reward = numbers_of(config, side, phase, learner, seed - run.seed)
                        row |= {f"cooperation_{side}": cooperation, f"reward_{side}": reward}
                    rows.append(row)
        append_rows(folder.metrics_file, rows)
        return folder

    def evaluated(folder, phases, *, episodes):
        """Cooperation rises from 0 to 1 within an episode, the co-player's falls; learner 1 has a tenth more."""
        seen.append((folder.path.name, phases))
        rise = np.linspace(0, 1, ROUNDS) * np.ones((SEEDS, 2, 1))
        more = 0.1 * np.arange(2)[None, :, None]
        curves = {
            "cooperation": rise,
            "reward": rise + more,
            "other_cooperation": 1 - rise,
            "other_reward": 0.25 * rise,
            **{name: np.full((SEEDS, 2), value) for name, value in (("share", 0.8), ("slope", 2), ("correlation", 1))},
        }
        names = (
            *("learner", "frozen", "tabular", "tit_for_tat", "always_cooperate", "always_defect"),
            *("win_stay_lose_shift", "generous_tit_for_tat"),
        )
        return {phase: dict.fromkeys(names, curves) for phase in phases}

    seen = []
    monkeypatch.setattr(registry, "go_on", trained)
    monkeypatch.setattr(weis, "evaluate", evaluated)
    return seen


def test_figure_1_sets_both_learners_and_their_ablations_beside_the_paper(finished, tmp_path):
    made = reproduce.reproduce("weis-fig1", tmp_path, seeds=SEEDS, seed=3)
    rows = rows_of(made.text)
    late = 0.5 + 0.05 + 0.01 + 0.001 * (weis.ppi_mixed.PRESETS["quick"].run.phases - 1)  # mean of learners and seeds
    paper, mean, values, verdict = rows["1A PPI: cooperation, learner against learner"]
    assert (paper, len(values), verdict) == ("0.90", 2, "at least 0.8 in 0 of 2")
    assert mean == pytest.approx(late, abs=6e-4)
    assert rows["1A PPI with opponent identity: cooperation, learner against learner"][3] == "at most 0.25 in 0 of 2"
    assert rows["1A PPI no tabular opponents: cooperation, learner against learner"][0] == ""
    assert rows["1B A2C: cooperation, learner against learner"][0] == "0.96"
    assert rows["1B A2C with opponent identity: cooperation, learner against learner"][3] == "at most 0.1 in 0 of 2"
    assert "1B A2C: cooperation against tabular" in rows and rows["1B A2C: reward against tabular"][0] == ""
    text = made.figure.with_suffix(".svg").read_text()
    assert text.count('id="axes_') == 4 + 2  # two learners, reward and cooperation; A2C's published iterations above
    assert not finished


@pytest.mark.parametrize("preset", ["quick", "paper"])
def test_ablations_differ_by_what_they_leave_out_and_by_what_is_annealed_without_tabular_players(preset):
    runs = weis.mixed_runs(preset)
    for learner in weis.EXPERIMENTS:
        mixed = flat(runs[f"{learner}-mixed-{preset}"])
        identity, alone = (flat(runs[f"{learner}-{stem}-{preset}"]) for stem in weis.ABLATIONS)
        assert identity == mixed | {"opponent_identity": True}
        annealed = {"entropy_iterations": 0, "learning_rate_iterations": 0} if learner == "a2c" else {}
        assert alone == mixed | {"learner_share": 1.0} | annealed


PAPER = {  # read off the points by hand
    "weis-fig2": ["0.26", "0.52", "0.28", "0.08", "0.62", "0.07", "0.17", "0.97", "0.99", "0.88"],
    "weis-fig4": ["0.13", "0.64", "", "0.00", "1.41", "0.00", "0.07", "0.95", "1.02", "1.32"],
}


@pytest.mark.parametrize(("name", "learner"), [("weis-fig2", "PPI"), ("weis-fig4", "A2C")])
def test_figures_2_and_4_show_the_three_steps(name, learner, finished, tmp_path):
    made = reproduce.reproduce(name, tmp_path, seeds=SEEDS)
    rows = rows_of(made.text)
    iterations_above = {"PPI": 0, "A2C": 5}  # the published ones, far more than these, over the panels of training
    assert made.figure.with_suffix(".svg").read_text().count('id="axes_') == 12 + iterations_above[learner]
    expected = {
        "step 1: cooperation with tit-for-tat in round 5": 4 / 19,
        "step 1: cooperation with tit-for-tat in round 12": 11 / 19,
        "step 1: cooperation with always-defect, its peak": 1.0,
        "step 1: cooperation with always-defect, last quarter": np.linspace(0, 1, 20)[-5:].mean(),
        "step 2: reward, learner less frozen player, evaluated": 0.5 + 0.05 - 0.125,
        "step 3: cooperation as they meet, first tenth of the rounds": 0.5 / 19,
        "step 3: cooperation as they meet, last tenth of the rounds": 18.5 / 19,
    }
    for quantity, mean in expected.items():
        assert rows[quantity][1] == pytest.approx(mean, abs=6e-4), quantity
    assert rows["step 2: share of the reward against the frozen player"][:2] == ("", pytest.approx(0.8, abs=6e-4))
    compared = [
        *expected,
        "step 3: cooperation, its highest in training",
        "step 1: reward against tabular",
        "step 2: reward against the frozen player",
    ]
    assert [rows[quantity][0] for quantity in compared] == PAPER[name]
    assert len(rows["step 1: reward against tabular"][2]) == 2 * SEEDS  # learners who never meet are repetitions
    phases = (weis.EXPERIMENTS[learner.lower()].STEP3["quick"]).run.phases
    assert rows["step 3: cooperation, its highest in training"][1] == pytest.approx(0.56 + 0.001 * phases, abs=6e-4)
    assert {seen for seen, _ in finished} == {
        f"{learner.lower()}-step{i}-quick-seeds-0-to-1" for i in (1, 2)
    }  # panel F is of the agents of step 2


def test_figure_3_shares_the_runs_of_figure_1(finished, tmp_path):
    made = reproduce.reproduce("weis-fig3", tmp_path, preset="paper", seeds=SEEDS)
    assert finished == [("ppi-mixed-paper-seeds-0-to-1", [1]), ("a2c-mixed-paper-seeds-0-to-1", [20])]
    rows = rows_of(made.text)
    assert rows["PPI: cooperation with the other learner"][1] == pytest.approx(0.5, abs=6e-4)
    assert rows["A2C: reward with tit for tat"][1] == pytest.approx(0.55, abs=6e-4)
    assert made.figure.with_suffix(".svg").read_text().count('id="axes_') == 4
    for preset in ("quick", "paper"):
        assert weis.early_runs(preset).items() <= weis.mixed_runs(preset).items()


@pytest.mark.parametrize(
    ("courses", "phase"),
    [
        ([[0.1, 0.3, 0.4, 0.5, 0.9], [0.1, 0.3, 0.36, 0.5, 0.1]], 3),  # .41 is published; .38 comes nearer than .5
        ([[0.1, 0.3, 0.35, 0.44, 0.41]], 4),  # not the fifth, which is after the paper's value was reached
        ([[0.1, 0.3, 0.2, 0.1, 0.0]], 2),  # never reached
    ],
)
def test_figure_3_looks_at_the_phase_that_cooperates_as_the_papers_does(courses, phase, tmp_path):
    folder = RunFolder.create(tmp_path / "run", {})
    rows = [
        {"phase": at, "seed": seed, "learner": learner, "cooperation_vs_learner": value}
        for seed, course in enumerate(courses)
        for at, value in enumerate(course, 1)
        for learner in (0, 1)
    ]
    append_rows(folder.metrics_file, rows)
    assert weis.Run(folder, PPIMixed()).phase_shown() == phase


def test_a_part_is_made_alone_with_what_it_builds_on(finished, tmp_path):
    only = reproduce.reproduce("weis-fig1", tmp_path, only="a2c", seeds=SEEDS)
    assert only.figure == tmp_path / "weis-fig1-a2c" / "figure.png"
    assert "A2C" in only.text and "PPI" not in only.text
    assert {path.name.split("-")[0] for path in (tmp_path / "runs").iterdir()} == {"a2c"}
    steps = reproduce.reproduce("weis-fig2", tmp_path, only="ppi-step2", seeds=SEEDS)
    assert "step 2" in steps.text and "step 1" in steps.text and "step 3" not in steps.text
    with pytest.raises(CoplayerError, match="only: must be one of ppi, a2c; got 'dqn'"):
        reproduce.reproduce("weis-fig1", tmp_path, only="dqn")
    with pytest.raises(CoplayerError, match="only: must be left out, meulemans-fig8 has no parts"):
        reproduce.reproduce("meulemans-fig8", tmp_path, only="ppi")
    with pytest.raises(CoplayerError, match="preset: must be one of quick, paper, got 'slow'"):
        reproduce.reproduce("weis-fig1", tmp_path, preset="slow")


def test_every_config_of_the_figures_can_be_trained():
    for study in weis.STUDIES.values():
        for preset in ("quick", "paper"):
            for config in study.runs(preset).values():
                assert isinstance(config, (PPIMixed, A2CMixed))
                registry.experiment_of(config).check(config)


def test_a_chain_of_runs_that_is_broken_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    """The three steps of A2C, tiny, stopped within the second: the same table as of one that was not."""
    names = ("game", "log_every", "hidden", "episodes", "iterations", "phases", "checkpoint_seconds")
    small = {name: flat(TINY_A2C)[name] for name in names}
    study = weis.STUDIES["weis-fig4"]
    runs = {run: adjust(config, **small) for run, config in study.runs("quick").items()}
    monkeypatch.setitem(reproduce.STUDIES, "weis-fig4", study._replace(runs=lambda preset: runs))
    monkeypatch.setattr(weis, "EPISODES", 4)
    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce(
            "weis-fig4", tmp_path, seeds=1, reporter=lambda run: StopAfter(1 if "step2" in run else 10**9)
        )
    one = tmp_path / "runs" / "a2c-step1-quick-seeds-0-to-0"
    before = {path: path.stat().st_mtime_ns for path in one.rglob("*.npz")}
    assert cli.main(["reproduce", "weis-fig4", "--out", str(tmp_path), "--seeds", "1", "--preset", "quick"]) == 0
    assert f"table: {tmp_path / 'weis-fig4' / 'table.md'}" in capsys.readouterr().out.replace("\n", "")
    assert before == {path: path.stat().st_mtime_ns for path in one.rglob("*.npz")}
    whole = reproduce.reproduce("weis-fig4", tmp_path / "whole", seeds=1)
    assert whole.text == (tmp_path / "weis-fig4" / "table.md").read_text()
    assert "nan" not in "".join(line for line in whole.text.splitlines() if "slope" not in line)


def test_a_method_that_is_registered_adds_no_run_to_a_published_figure(monkeypatch):
    """The names of all runs, and no others, whatever experiments there are."""
    monkeypatch.setattr(registry, "EXPERIMENTS", dict(registry.EXPERIMENTS))
    monkeypatch.setattr(registry, "RECIPES", dict(registry.RECIPES))
    registry.register(Saving())
    mixed = [f"{learner}-{stem}" for learner in ("ppi", "a2c") for stem in ("mixed", "identity", "no-tabular")]
    expected = {
        "weis-fig1": mixed,
        "weis-fig2": [f"ppi-step{i}" for i in (1, 2, 3)],
        "weis-fig3": ["ppi-mixed", "a2c-mixed"],
        "weis-fig4": [f"a2c-step{i}" for i in (1, 2, 3)],
    }
    for preset in ("quick", "paper"):
        for name, study in weis.STUDIES.items():
            assert list(study.runs(preset)) == [f"{run}-{preset}" for run in expected[name]]
