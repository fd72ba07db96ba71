"""What is drawn of a meta-trajectory, of agents whose play is known."""

import csv

import jax
import numpy as np
import pytest

from coplayer.experiments import coala_ipd, registry
from coplayer.games import names
from coplayer.learning.estimators import BATCH_UNAWARE, ESTIMATORS, Estimator
from coplayer.reproduce import coala_figures, report
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust
from tiny import TINY_COALA
from vault import Vault

SETTINGS = adjust(TINY_COALA, meta_agents=3, methods=("coala", "coala", "m_fos"), naive_learning_rate=1e-9)
SEEDS = SETTINGS.run.seeds


def run_of(settings, path, head_bias):
    """A run in which every agent's heads read a bias alone, `[agent, seed, C, D and value]`."""
    folder = RunFolder.create(path, registry.description(coala_ipd, settings, path, "custom"))
    network = coala_ipd.new_network(settings, jax.random.key(0))
    lead = head_bias.shape[:2]
    agents = checkpoint.flatten(
        jax.tree.map(lambda leaf: np.broadcast_to(leaf, (*lead, *leaf.shape)), network), "network"
    )
    data = checkpoint.dump(agents | {"network.head_bias": head_bias.astype(np.float32)}, {"phase": 1})
    folder.agents_file(1).write_bytes(data)
    return folder


@pytest.fixture
def folder(tmp_path):
    """A run whose first agent always cooperates and whose others always defect; naive learners play at random."""
    bias = np.zeros((SETTINGS.shaping.meta_agents, SEEDS, 3))
    bias[0, :, 0] = bias[1:, :, 1] = 60
    return run_of(SETTINGS, tmp_path / "run", bias)


def test_each_method_has_its_own_curves_of_both_sides(folder, tmp_path):
    report.MORE_FIGURES[coala_ipd.NAME]["within_meta_trajectory"](folder, SETTINGS, tmp_path / "figure")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "figure.csv").open()))
    curves = {}
    for row in rows:
        values = [float(row[f"repetition {seed + 1}"]) for seed in range(SEEDS)]
        curves.setdefault((row["y"], row["curve"]), []).append(np.mean(values))
    sides = [
        f"{before}{label}{after}"
        for label in ("COALA-PG", "M-FOS")
        for before, after in (("", ""), ("naive learners, ", ""), ("", ", other meta agents"))
    ]
    assert curves.keys() == {(y, side) for y in ("reward per round", "cooperation rate") for side in sides}
    assert {len(values) for values in curves.values()} == {SETTINGS.shaping.inner_episodes}
    cooperation = {side: np.array(curves["cooperation rate", side]) for side in sides}
    assert (cooperation["COALA-PG"] == 0.5).all() and (cooperation["M-FOS"] == 0).all()
    assert (cooperation["COALA-PG, other meta agents"] == 0.5).all()
    assert cooperation["naive learners, M-FOS"].mean() == pytest.approx(0.5, abs=0.2)
    against = np.array(curves["reward per round", "M-FOS"])
    assert against == pytest.approx(2 * cooperation["naive learners, M-FOS"], abs=1e-5)  # 2 where the other cooperates


def test_curves_are_of_each_methods_agents():
    assert coala_figures.by_method(SETTINGS) == {"coala": [0, 1], "m_fos": [2]}
    assert coala_figures.by_method(adjust(SETTINGS, methods=("m_fos",))) == {"m_fos": [0, 1, 2]}


def test_a_method_is_labelled_by_its_entry_among_the_estimators(monkeypatch):
    monkeypatch.setitem(ESTIMATORS, "another", Estimator("Another", BATCH_UNAWARE, BATCH_UNAWARE))
    labels = ["COALA-PG", "M-FOS", "batch-unaware", "LOLA-DiCE", "Another"]
    methods = ("coala", "m_fos", "batch_unaware", "lola_dice", "another")
    assert [coala_figures.label_of(method) for method in methods] == labels


def test_of_a_game_of_ones_own_what_the_game_measures_is_drawn(monkeypatch, tmp_path):
    monkeypatch.setitem(names.GAMES, "vault", Vault())
    settings = adjust(TINY_COALA, game=Vault(rounds=3), inner_episodes=2, seeds=1)
    folder = run_of(settings, tmp_path / "run", np.array([[[60.0, 0, 0]], [[0, 60.0, 0]]]))  # one saves, one takes
    report.MORE_FIGURES[coala_ipd.NAME]["within_meta_trajectory"](folder, settings, tmp_path / "figure")
    rows = list(csv.DictReader((tmp_path / "figure.csv").open()))
    assert {row["y"] for row in rows} == {"reward per round", "saving"}
    saving = {row["curve"]: float(row["repetition 1"]) for row in rows if row["y"] == "saving"}
    assert saving["COALA-PG"] == 1 and saving["M-FOS"] == 0


@pytest.mark.filterwarnings("error")
def test_a_match_of_one_round_is_late_in_that_round(folder, monkeypatch):
    monkeypatch.setattr(report, "evaluated", lambda folder, values: values.mean(1))
    final = {
        name: {"reward": np.full((2, 1, 1), value), "cooperation": np.full((2, 1, 1), value)}
        for value, name in enumerate(
            (report.TABULAR, report.TIT_FOR_TAT, "always_cooperate", "always_defect", "win_stay_lose_shift")
        )
    } | {"generous_tit_for_tat": {"reward": np.zeros((2, 1, 1)), "cooperation": np.zeros((2, 1, 1))}}
    rows = report.evaluation_quantities(folder, coala_ipd.panel(SETTINGS), final, compare=False)
    (late,) = (row for row in rows if row.name.startswith("late"))
    assert (late.ours == 1).all()
