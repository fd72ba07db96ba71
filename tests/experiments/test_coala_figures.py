"""What is drawn of a meta-trajectory, of agents whose play is known."""

import csv
import dataclasses

import jax
import numpy as np
import pytest

from coplayer.experiments import coala_figures, coala_ipd, registry, report
from coplayer.runs import checkpoint
from coplayer.runs.folder import RunFolder
from tiny import TINY_COALA

CONFIG = dataclasses.replace(TINY_COALA, meta_agents=3, methods=("coala", "coala", "m_fos"), naive_learning_rate=1e-9)


@pytest.fixture
def folder(tmp_path):
    """A run whose first agent always cooperates and whose others always defect; naive learners play at random."""
    settings = registry.settings_of(CONFIG, tmp_path)
    folder = RunFolder.create(tmp_path / "run", {"experiment": coala_ipd.NAME, "settings": settings})
    network = coala_ipd.new_network(coala_ipd.make_setting(CONFIG), jax.random.key(0))
    lead = (CONFIG.meta_agents, CONFIG.seeds)
    agents = checkpoint.flatten(
        jax.tree.map(lambda leaf: np.broadcast_to(leaf, (*lead, *leaf.shape)), network), "network"
    )
    bias = np.zeros((*lead, 3))  # C, D and value
    bias[0, :, 0] = bias[1:, :, 1] = 60
    data = checkpoint.dump(agents | {"network.head_bias": bias.astype(np.float32)}, {"phase": 1})
    folder.agents_file(1).write_bytes(data)
    return folder


def test_each_method_has_its_own_curves_of_both_sides(folder, tmp_path):
    report.MORE_FIGURES[coala_ipd.NAME]["within_meta_trajectory"](folder, CONFIG, tmp_path / "figure")
    assert (tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader((tmp_path / "figure.csv").open()))
    curves = {}
    for row in rows:
        values = [float(row[f"repetition {seed + 1}"]) for seed in range(CONFIG.seeds)]
        curves.setdefault((row["y"], row["curve"]), []).append(np.mean(values))
    sides = [
        f"{before}{label}{after}"
        for label in ("COALA-PG", "M-FOS")
        for before, after in (("", ""), ("naive learners, ", ""), ("", ", other meta agents"))
    ]
    assert curves.keys() == {(y, side) for y in ("reward a round", "cooperation rate") for side in sides}
    assert {len(values) for values in curves.values()} == {CONFIG.inner_episodes}
    cooperation = {side: np.array(curves["cooperation rate", side]) for side in sides}
    assert (cooperation["COALA-PG"] == 0.5).all() and (cooperation["M-FOS"] == 0).all()
    assert (cooperation["COALA-PG, other meta agents"] == 0.5).all()
    assert cooperation["naive learners, M-FOS"].mean() == pytest.approx(0.5, abs=0.2)
    against = np.array(curves["reward a round", "M-FOS"])
    assert against == pytest.approx(2 * cooperation["naive learners, M-FOS"], abs=1e-5)  # 2 where the other cooperates


def test_curves_are_of_each_methods_agents():
    assert coala_figures.by_method(CONFIG) == {"coala": [0, 1], "m_fos": [2]}
    assert coala_figures.by_method(dataclasses.replace(CONFIG, methods=("m_fos",))) == {"m_fos": [0, 1, 2]}


@pytest.mark.filterwarnings("error")
def test_a_match_of_one_round_is_late_in_that_round(folder, monkeypatch):
    monkeypatch.setattr(report, "evaluated", lambda folder, values: values.mean(1))
    final = {
        name: {"reward": np.full((2, 1, 1), value), "cooperation": np.full((2, 1, 1), value)}
        for value, name in enumerate(
            (report.TABULAR, report.TIT_FOR_TAT, "always_cooperate", "always_defect", "win_stay_lose_shift")
        )
    } | {"generous_tit_for_tat": {"reward": np.zeros((2, 1, 1)), "cooperation": np.zeros((2, 1, 1))}}
    rows = report.evaluation_quantities(folder, coala_ipd.panel(CONFIG), final, compare=False)
    (late,) = (row for row in rows if row.name.startswith("late"))
    assert (late.ours == 1).all()
