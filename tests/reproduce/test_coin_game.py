"""The figure of the coin game, of runs whose numbers are known and of tiny ones."""

import csv

import numpy as np
import pytest

from coplayer.experiments import coala_ipd, registry
from coplayer.games.coin import CoinGame
from coplayer.reproduce import coin_game, reproduce
from coplayer.runs.folder import RunFolder, append_rows
from coplayer.settings import adjust
from figure_tables import rows_of

TINY = {
    **{"game": CoinGame(rounds=4), "batch": 2, "replicas": 4, "naive_population": 2, "hidden": 4, "minibatches": 2},
    **{"iterations": 10, "log_every": 1, "phases": 1, "lambda_from": 0},
}
OWN = {"vs_naive": 0.3, "of_naive": 0.1, "vs_learner": 0.24}
OTHER = {"vs_naive": 0.1, "of_naive": 0.1, "vs_learner": 0.06}


@pytest.fixture
def tiny(monkeypatch):
    study = coin_game.STUDIES["coin-game"]

    def runs(preset):
        return {run: adjust(settings, **TINY) for run, settings in study.runs(preset).items()}

    monkeypatch.setitem(reproduce.STUDIES, "coin-game", study._replace(runs=runs))


@pytest.fixture
def finished(tiny, monkeypatch):
    """`reproduce` without training: in every run, seed k takes (1 + k) times the coins above."""

    def trained(settings, path, preset, reporter):
        folder, run = RunFolder.create(path, registry.description(coala_ipd, settings, path, preset)), settings.run
        rows = [
            {"phase": 1, "iteration": iteration, "seed": seed, "learner": learner}
            | {f"own_coins_{side}": (1 + seed - run.seed) * value for side, value in OWN.items()}
            | {f"other_coins_{side}": (1 + seed - run.seed) * OTHER[side] for side in OWN}
            | {f"reward_{side}": 7.0 for side in OWN}
            for iteration in range(1, 21)
            for seed in range(run.seed, run.seed + run.seeds)
            for learner in range(settings.shaping.meta_agents)
        ]
        append_rows(folder.metrics_file, rows)
        return folder

    monkeypatch.setattr(registry, "go_on", trained)


def test_the_share_of_own_coins_of_everybody(finished, tmp_path):
    made = reproduce.reproduce("coin-game", tmp_path, seeds=2)
    rows = rows_of(made.text)
    shares = {name: row[1] for name, row in rows.items() if name.endswith(coin_game.SHARE)}
    assert len(shares) == 1 + 2 + 1
    for name, share in shares.items():
        expected = 0.8 if "each other" in name else 0.5 if "beside" in name else 0.75
        assert share == pytest.approx(expected, abs=1e-3), name
    label = "mixed pool: meta agents with each other: COALA-PG, own coins per round"
    assert rows[label][1] == pytest.approx(0.24 * 1.5)
    drawn = list(csv.DictReader(made.figure.with_suffix(".csv").open()))
    assert {row["panel"] for row in drawn} == set(coin_game.shown(list(reproduce.STUDIES["coin-game"].runs("quick"))))
    assert all(0.5 <= float(row["repetition 1"]) <= 0.8 for row in drawn)


def test_a_share_of_no_coins_is_not_a_number():
    np.testing.assert_array_equal(coin_game.share(np.array([0.0, 1.0]), np.array([0.0, 3.0])), [np.nan, 0.25])


def test_a_tiny_part_is_trained_and_drawn(tiny, tmp_path):
    made = reproduce.reproduce("coin-game", tmp_path, only="coin-naive", seeds=1)
    assert made.figure.read_bytes().startswith(b"\x89PNG")
    (run,) = (tmp_path / "runs").iterdir()
    last = [row for row in RunFolder.open(run).metrics() if row["iteration"] == 10]
    reward = next(row for name, row in rows_of(made.text).items() if name.endswith("reward per round"))
    assert reward[1] == pytest.approx(np.mean([row["reward_vs_learner"] for row in last]), abs=6e-4)
