"""The figures of CleanUp-lite, of runs whose numbers are known and of tiny ones."""

import csv

import numpy as np
import pytest

from coplayer.experiments import cleanup, coala_ipd, registry
from coplayer.games.cleanup import CleanUpLite
from coplayer.reproduce import meulemans_cleanup, reproduce
from coplayer.runs.folder import RunFolder, append_rows
from coplayer.settings import adjust
from figure_tables import LABELS, rows_of

TINY = {
    **{"game": CleanUpLite(2), "inner_episodes": 2, "batch": 2, "replicas": 4, "naive_population": 2, "hidden": 4},
    **{"iterations": 10, "log_every": 1, "phases": 1, "entropy_from": 0, "lambda_from": 0},
}
SHAPING = ("reward_vs_naive", "cleaning_discrepancy_vs_naive", "zapped_vs_naive")
SHAPING_LATER = ("reward_of_naive", "pollution_vs_naive", "apples_vs_naive")
MIXED = ("reward_vs_learner", "cleaning_discrepancy_vs_learner", "zapped_vs_learner")
FIGURES = {
    "meulemans-fig6": ("shaping", dict(zip("ABC", SHAPING, strict=True))),
    "meulemans-fig7": ("mixed", dict(zip("ABC", MIXED, strict=True))),
    "meulemans-fig13": ("shaping", dict(zip("DEF", SHAPING_LATER, strict=True))),
    "meulemans-fig14": ("mixed", {"D": "pollution_vs_learner", "E": "apples_vs_learner"}),
}
METRICS = [*SHAPING, *SHAPING_LATER, *MIXED, "pollution_vs_learner", "apples_vs_learner"]
CLEANING = {"cleaning_vs_naive": 0.1, "cleaning_of_naive": 0.4}


@pytest.fixture
def tiny_studies(monkeypatch):
    for name in FIGURES:
        study = meulemans_cleanup.STUDIES[name]

        def runs(preset, plain=study.runs):
            return {run: adjust(settings, **TINY) for run, settings in plain(preset).items()}

        monkeypatch.setitem(reproduce.STUDIES, name, study._replace(runs=runs))


def number_of(metric, method, iteration, seed):
    """A value that tells where it belongs."""
    return METRICS.index(metric) + 0.1 * list(LABELS).index(method) + 0.01 * seed + 0.001 * iteration


@pytest.fixture
def finished(tiny_studies, monkeypatch):
    """`reproduce` without training and without play after it: every run has the metrics of `number_of`."""

    def trained(settings, path, preset, reporter):
        folder, rows = RunFolder.create(path, registry.description(coala_ipd, settings, path, preset)), []
        run, (method,) = settings.run, settings.shaping.methods
        for iteration in range(1, 21):
            for seed in range(run.seed, run.seed + run.seeds):
                for learner in range(settings.shaping.meta_agents):
                    row = {"phase": 1, "iteration": iteration, "seed": seed, "learner": learner}
                    means = {metric: number_of(metric, method, iteration, seed - run.seed) for metric in METRICS}
                    rows.append(row | means | CLEANING)
        append_rows(folder.metrics_file, rows)
        return folder

    def within(folder, settings):
        (method,) = settings.shaping.methods
        episodes, seeds = np.arange(3), np.arange(settings.run.seeds)[:, None]
        return {method: {metric: 100 + number_of(metric, method, episodes, seeds) for metric in METRICS}}

    monkeypatch.setattr(registry, "go_on", trained)
    monkeypatch.setattr(meulemans_cleanup, "within", within)


@pytest.mark.parametrize("name", FIGURES)
def test_every_panel_is_of_its_own_metric_by_training_and_by_inner_episode(name, finished, tmp_path):
    made, (pool, metrics) = reproduce.reproduce(name, tmp_path, seeds=2), FIGURES[name]
    assert made.figure.read_bytes().startswith(b"\x89PNG")
    rows, drawn = rows_of(made.text), list(csv.DictReader(made.figure.with_suffix(".csv").open()))
    for letter, metric in metrics.items():
        for method, label in LABELS.items():
            points = [row for row in drawn if row["panel"].startswith(letter) and row["curve"] == label]
            for at, base, row in ((20, 0, points[19]), (2, 100, points[22])):
                found = float(row["repetition 2"])
                assert found == pytest.approx(base + number_of(metric, method, at, 1) + 0.001 * (base > 0), abs=2e-3)
            assert len(points) == 20 + 3
            (own,) = (row for quantity, row in rows.items() if quantity.startswith(f"{letter}: {label}, "))
            assert own[1] == pytest.approx(number_of(metric, method, 19.5, 0.5), abs=6e-4)
        for i, rival in enumerate(("M-FOS", "batch-unaware", "LOLA-DiCE")):
            (lead,) = (row for quantity, row in rows.items() if quantity.startswith(f"{letter}: COALA-PG less {rival}"))
            assert lead[1] == pytest.approx(-0.1 * (i + 1), abs=6e-4)
            more = metric.startswith(("reward", "apples"))
            assert lead[3] == ("at least 0 in 0 of 2" if more else "at most 0 in 2 of 2")
    compared = (made.table.parent / "comparison.md").read_text()
    assert compared.count("| IQM |") == len(metrics)  # each metric with its pairs
    assert all(compared.count(f"| COALA-PG over {rival} |") == len(metrics) for rival in list(LABELS.values())[1:])
    told = rows.get("COALA-PG, how much more its naive learners clean")
    assert (told is None) == (pool == "mixed")
    if told:
        assert told[1] == pytest.approx(0.3) and told[3] == "at least 0 in 2 of 2"


def test_the_runs_are_the_recipes_of_every_method_and_two_figures_share_them():
    for preset in ("quick", "paper"):
        for pool, pair in {
            "shaping": ("meulemans-fig6", "meulemans-fig13"),
            "mixed": ("meulemans-fig7", "meulemans-fig14"),
        }.items():
            first, second = (meulemans_cleanup.STUDIES[name].runs(preset) for name in pair)
            assert first == second
            assert list(first) == [
                f"cleanup-{pool}-{m}-{preset}" for m in ("coala", "m-fos", "batch-unaware", "lola-dice")
            ]
            for method, settings in zip(LABELS, first.values(), strict=True):
                coala_ipd.check(settings)
                assert settings == adjust(cleanup.of_method(pool, preset, method), seeds=5)


@pytest.mark.long
@pytest.mark.parametrize("name", ["meulemans-fig6", "meulemans-fig7"])
def test_a_tiny_figure_is_trained_and_drawn(name, tiny_studies, tmp_path):
    pool, metrics = FIGURES[name]
    made = reproduce.reproduce(name, tmp_path, only=f"cleanup-{pool}-coala", seeds=1)
    assert made.figure.read_bytes().startswith(b"\x89PNG") and "nan" not in made.text
    (run,) = (tmp_path / "runs").iterdir()
    last = [row for row in RunFolder.open(run).metrics() if row["iteration"] == 10]
    for letter, metric in metrics.items():
        (own,) = (row for quantity, row in rows_of(made.text).items() if quantity.startswith(f"{letter}: "))
        assert own[1] == pytest.approx(np.mean([row[metric] for row in last]), abs=6e-4)
