"""The figures of the sampled prisoner's dilemma, of tiny runs and of runs whose numbers are known."""

import csv

import jax
import numpy as np
import pytest

from coplayer.experiments import coala_ipd, registry
from coplayer.learning.estimators import BATCH_UNAWARE, ESTIMATORS, Estimator
from coplayer.reproduce import meulemans_sampled, reproduce
from coplayer.reproduce.gradient_balance import SWITCHES, Ratio
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder, append_rows
from coplayer.settings import adjust, flat
from figure_tables import LABELS, rows_of
from stopping import StopAfter
from tiny import TINY_COALA

SEEDS = 2
SIZES = {
    name: flat(TINY_COALA)[name]
    for name in (
        *("game", "inner_episodes", "batch", "replicas", "naive_population", "core", "hidden", "seed_batch"),
        *("log_every", "epochs"),
    )
} | {"iterations": 2, "phases": 1, "entropy_from": 0}


@pytest.fixture
def tiny_studies(monkeypatch):
    """Every run small, everything else as published."""
    for name, study in meulemans_sampled.STUDIES.items():

        def runs(preset, plain=study.runs):
            return {run: adjust(settings, **SIZES) for run, settings in plain(preset).items()}

        monkeypatch.setitem(reproduce.STUDIES, name, study._replace(runs=runs))


def number_of(settings, side, iteration, learner, seed):
    """A reward that tells where it belongs; the cooperation is half of it."""
    method, agents = list(LABELS).index(settings.by_agent[learner]), settings.shaping.meta_agents
    base = {"vs_naive": 0.5, "of_naive": 0.3, "vs_learner": 0.7}[side] - 0.1 * settings.naive.naive_share
    return base - 0.15 * method + 0.02 * seed + 0.01 * (learner - (agents - 1) / 2) + 0.001 * iteration


@pytest.fixture
def finished(tiny_studies, monkeypatch):
    """`reproduce` without training: every run has the metrics of `number_of`, and agents as they begin."""

    def trained(settings, path, preset, reporter):
        folder, rows = RunFolder.create(path, registry.description(coala_ipd, settings, path, preset)), []
        share, run, count = settings.naive.naive_share, settings.run, settings.shaping.meta_agents
        sides = ["vs_learner"] * (share < 1) + ["vs_naive", "of_naive"] * (share > 0)
        for iteration in range(1, 21):
            for seed in range(run.seed, run.seed + run.seeds):
                for learner in range(count):
                    row = {"phase": 1, "iteration": iteration, "seed": seed, "learner": learner}
                    for side in sides:
                        value = number_of(settings, side, iteration, learner, seed - run.seed)
                        row |= {f"reward_{side}": value, f"cooperation_{side}": value / 2}
                    rows.append(row)
        append_rows(folder.metrics_file, rows)
        network = coala_ipd.new_network(settings, jax.random.key(0))
        agents = jax.tree.map(lambda leaf: np.broadcast_to(leaf, (count, run.seeds, *leaf.shape)), network)
        folder.agents_file(1).parent.mkdir(exist_ok=True)
        folder.agents_file(1).write_bytes(checkpoint.dump(checkpoint.flatten(agents, "network"), {"phase": 1}))
        return folder

    monkeypatch.setattr(registry, "go_on", trained)


END = 0.001 * 19.5 + 0.01  # mean of the last tenth, and of two seeds


def test_figure_5_tells_the_methods_apart_in_both_pools(finished, tmp_path):
    made = reproduce.reproduce("meulemans-fig5", tmp_path, seeds=SEEDS)
    rows = rows_of(made.text)
    for i, label in enumerate(LABELS.values()):
        for quantity, expected in (
            (f"A: {label}, reward against naive learners", 0.4),
            (f"A: {label}, reward of the naive learners", 0.2),
            (f"C: {label}, reward meta against meta", 0.6 + 0.05),
            (f"C: {label}, reward against naive learners", 0.4 + 0.05),
        ):
            mean, values = rows[quantity][1:3]
            assert mean == pytest.approx(expected - 0.15 * i + END, abs=6e-4), quantity
            assert len(values) == SEEDS
        cooperation = rows[f"A: {label}, cooperation of the naive learners"][1]
        assert cooperation == pytest.approx((0.2 - 0.15 * i + END) / 2, abs=6e-4)
    assert rows["C: COALA-PG, reward meta against meta"][3] == "at least 0.8 in 0 of 2"
    assert rows["C: LOLA-DiCE, reward meta against meta"][3] == "at least 0.8 in 0 of 2"
    assert rows["C: M-FOS, reward meta against meta"][3] == "at most 0.4 in 0 of 2"
    alone = rows["C: COALA-PG, no naive learners, reward meta against meta"]
    assert alone[1] == pytest.approx(0.7 + END, abs=6e-4) and alone[3] == "at most 0.4 in 0 of 2"
    assert rows["A: COALA-PG's lead over M-FOS"][1] == pytest.approx(0.15, abs=6e-4)
    assert rows["A: COALA-PG's lead over batch-unaware"][3] == "at least 0.5 in 0 of 2"
    assert rows["A: M-FOS, cooperation"][3] == "at most 0.1 in 0 of 2" and rows["A: COALA-PG, cooperation"][3] == ""
    assert made.figure.with_suffix(".svg").read_text().count('id="axes_') == 4
    drawn = list(csv.DictReader(made.figure.with_suffix(".csv").open()))
    within = [row for row in drawn if row["panel"].startswith("B")]
    sides = [side for label in LABELS.values() for side in (label, f"naive learners, {label}")]
    assert {(row["y"], row["curve"]) for row in within} == {
        (y, side) for y in ("reward per round", "cooperation rate") for side in sides
    }
    for row in within:  # of agents who play at random
        assert float(row["repetition 1"]) == pytest.approx(0.5, abs=0.45), row
    last = [row for row in drawn if row["panel"].startswith("A") and row["curve"] == "M-FOS"][-1]
    expected = number_of(coala_ipd.SHAPING["quick"], "vs_naive", 20, 0, 1) - 0.15  # the second method's
    assert last["x"] == "20" and float(last["repetition 2"]) == pytest.approx(expected, abs=1e-5)


def test_a_rival_has_its_own_rows_and_meets_the_other_kind(finished, tmp_path):
    """Each row of training is of its own agents, M-FOS's the last; the matches tell who meets whom, by kind, pair and
    seed.
    """
    made = reproduce.reproduce("coala-vs-mfos", tmp_path, seeds=SEEDS)
    rows = rows_of(made.text)
    kinds = (("COALA-PG", "0.85", 1), ("M-FOS", "0.85", 3))  # with the mean number of its agents
    for kind, (label, paper, agent) in enumerate(kinds):
        for whom, base in (("meta agents of both kinds", 0.675), ("naive learners", 0.475)):  # naive_share .25
            expected = base - 0.15 * kind + 0.01 * (agent - 1.5) + END
            assert rows[f"reward of {label} against {whom}"][1] == pytest.approx(expected, abs=6e-4)
        played = rows[f"reward of {label} against the other, after training"]
        assert played[0] == paper and played[1] == pytest.approx(0.5, abs=0.1)  # at random
    (run,) = (tmp_path / "runs").iterdir()
    folder = RunFolder.open(run)
    _, settings = registry.settings_of_folder(folder)
    agents = checkpoint.load(folder.agents_file(1))[1]
    bias = agents["network.head_bias"].copy()  # [agent, seed, C, D and value]
    bias[..., 1] = 30
    bias[0, :, 0] = bias[1:3, 1, 0] = 60  # COALA-PG's agents cooperate, in the first seed one of the three alone
    folder.agents_file(1).write_bytes(checkpoint.dump(agents | {"network.head_bias": bias}, {"phase": 1}))
    rewards = meulemans_sampled.against_each_other(folder, settings)
    assert rewards == pytest.approx(np.array([[-1 / 3, -1.0], [2 / 3, 2.0]]))


def test_all_settings_of_the_figures_can_be_trained():
    for study in meulemans_sampled.STUDIES.values():
        for preset in ("quick", "paper"):
            for settings in study.runs(preset).values():
                coala_ipd.check(settings)


def test_a_new_estimator_adds_no_run_to_a_published_figure_and_changes_none(monkeypatch):
    def planned():
        presets, studies = ("quick", "paper"), reproduce.STUDIES.items()
        runs = {(name, preset): study.runs(preset) for name, study in studies for preset in presets}
        return runs, reproduce.listing(), set(SWITCHES)

    before = planned()
    monkeypatch.setitem(ESTIMATORS, "another", Estimator("another", BATCH_UNAWARE, BATCH_UNAWARE))
    coala_ipd.check(adjust(TINY_COALA, methods=("another",)))
    assert planned() == before
    methods = [method.replace("_", "-") for method in LABELS]
    both = [f"{pool}-{method}-quick" for pool in ("shaping", "mixed") for method in methods]
    assert list(before[0]["meulemans-fig5", "quick"]) == [*both, "mixed-no-naive-quick"]
    assert list(before[0]["coala-vs-mfos", "paper"]) == ["coala-vs-mfos-paper"]
    assert list(before[0]["meulemans-fig12", "quick"]) == ["mixed-coala-quick"]
    assert before[2] == {"coala", "m_fos", "batch_unaware"}


def test_tiny_rivals_are_trained_resumed_and_drawn(tiny_studies, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce("coala-vs-mfos", tmp_path, seeds=1, reporter=lambda run: StopAfter(1))
    made = reproduce.reproduce("coala-vs-mfos", tmp_path, seeds=1)
    assert made.figure.read_bytes().startswith(b"\x89PNG") and "nan" not in made.text
    (run,) = (tmp_path / "runs").iterdir()
    rows = RunFolder.open(run).metrics()
    assert [row["learner"] for row in rows] == [0, 1, 2, 3]
    for label, own in (("COALA-PG", rows[:3]), ("M-FOS", rows[3:])):
        found = rows_of(made.text)[f"reward of {label} against naive learners"][1]
        expected = np.mean([row["reward_vs_naive"] for row in own])
        assert found == pytest.approx(expected, abs=6e-4)


def test_figure_12_has_a_row_for_each_method_over_the_training(finished, monkeypatch, tmp_path):
    """Of ratios that are known, of the first agent of each seed; asked for with enough blocks."""
    monkeypatch.setattr(meulemans_sampled, "POINTS", 1)  # such runs have one phase
    asked = []

    def balance(settings, network, key, *, blocks):
        asked.append(blocks)
        assert settings.shaping.batch == TINY_COALA.shaping.batch
        assert network.core.width == settings.network.hidden
        values = {"coala": 1.5, "m_fos": 0.75, "batch_unaware": 0.25 * len(asked)}  # more in the second seed
        return {method: Ratio(value, 0.25 * value) for method, value in values.items()}

    monkeypatch.setattr(meulemans_sampled, "balance", balance)
    rows = rows_of(reproduce.reproduce("meulemans-fig12", tmp_path, seeds=SEEDS).text)
    assert asked == [2048 // TINY_COALA.shaping.replicas] * SEEDS
    assert rows["COALA-PG: ratio, median over the training"][3] == "0.5 to 2 in 2 of 2"
    assert rows["M-FOS: ratio, median over the training"][3] == "at most 0.25 in 0 of 2"
    assert rows["batch-unaware: ratio, median over the training"][3] == "at most 0.25 in 1 of 2"
    assert rows["M-FOS: ratio after 2 iterations"][1] == 0.75
    assert rows["M-FOS: largest standard error over the ratio"][1] == 0.25


def test_figure_12_follows_the_agents_over_the_training(tiny_studies, monkeypatch, tmp_path):
    """The agents measured are those at the ends of the phases that are drawn."""
    plain = reproduce.STUDIES["meulemans-fig12"]
    longer = plain._replace(
        runs=lambda preset: {
            name: adjust(settings, iterations=8, phases=4) for name, settings in plain.runs(preset).items()
        }
    )
    monkeypatch.setitem(reproduce.STUDIES, "meulemans-fig12", longer)
    monkeypatch.setattr(meulemans_sampled, "POINTS", 2)
    measured = []

    def balance(settings, network, key, *, blocks):
        measured.append(np.asarray(network.head_bias))
        return {method: Ratio(1.0, 0.1) for method in SWITCHES}

    monkeypatch.setattr(meulemans_sampled, "balance", balance)
    made = reproduce.reproduce("meulemans-fig12", tmp_path, seeds=1)
    (run,) = (tmp_path / "runs").iterdir()
    expected = [np.asarray(registry.load(run, phase=phase, seed=0)[0].network.head_bias) for phase in (2, 4)]
    np.testing.assert_array_equal(measured, expected)
    assert not np.array_equal(*expected)
    assert {"COALA-PG: ratio after 4 iterations", "COALA-PG: ratio after 8 iterations"} <= rows_of(made.text).keys()


def test_a_tiny_figure_12_is_measured_and_drawn(tiny_studies, monkeypatch, tmp_path):
    """From training to the figure; the numbers are tested in `test_gradient_balance`."""
    monkeypatch.setattr(meulemans_sampled, "REPLICAS", 512)
    made = reproduce.reproduce("meulemans-fig12", tmp_path, seeds=1)
    assert made.figure.read_bytes().startswith(b"\x89PNG")
    assert {f"{LABELS[method]}: ratio after 2 iterations" for method in ("coala", "m_fos", "batch_unaware")} <= rows_of(
        made.text
    ).keys()
