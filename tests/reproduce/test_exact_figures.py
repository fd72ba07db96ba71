"""Figures of one exact run, against the rows and weights in its folder."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from coplayer.analysis.zero_determinant import extortion, family_corners, fit_extortion
from coplayer.experiments import exact_ipd, registry
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.players.memory1 import Memory1
from coplayer.reproduce import exact_figures
from coplayer.runs import checkpoint
from coplayer.settings import adjust
from tiny import TINY_EXACT

ITERATIONS = [0, 2, 4, 6, 8]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return registry.train(TINY_EXACT, tmp_path_factory.mktemp("exact") / "run")


def by_hand(folder, name, iteration):
    """A metric of each seed at an iteration, mean over the two agents."""
    rows = [row for row in folder.metrics() if row["iteration"] == iteration]
    seeds = range(TINY_EXACT.run.seeds)
    return [np.mean([row[name] for row in rows if row["seed"] == seed]) for seed in seeds]


def test_metrics_over_training(run):
    x, values = exact_figures.metric(run, "reward_vs_naive")
    assert x.tolist() == ITERATIONS and values.shape == (3, 5)
    for i, iteration in enumerate(ITERATIONS):
        np.testing.assert_allclose(values[:, i], by_hand(run, "reward_vs_naive", iteration))
    np.testing.assert_allclose(exact_figures.final(run, "p_cd"), by_hand(run, "p_cd", 8))


@pytest.mark.parametrize(
    ("limits", "chosen"), [({}, [0, 2, 4, 6, 8]), ({"until": 4}, [0, 2, 4]), ({"since": 4}, [4, 6, 8])]
)
def test_a_band_begins_at_0_where_it_is_cut(run, limits, chosen):
    band = exact_figures.band(run, "reward_vs_learner", "label", **limits)
    assert band.label == "label"
    np.testing.assert_array_equal(band.x, np.array(chosen) - limits.get("since", 0))
    np.testing.assert_allclose(
        band.values, np.transpose([by_hand(run, "reward_vs_learner", iteration) for iteration in chosen])
    )


def test_the_agents_at_the_end(run):
    stored = checkpoint.load(run.agents_file(4))[1]
    logits = exact_figures.final_logits(run, TINY_EXACT)
    np.testing.assert_array_equal(logits, exact_ipd.logits_of(TINY_EXACT, stored))
    policies = exact_figures.final_policies(run, TINY_EXACT)
    assert policies.probabilities.shape == (2, 3, 5, 2)
    for learner, seed in np.ndindex(2, 3):
        cooperates = 1 / (1 + np.exp(-logits[learner, :, seed]))
        np.testing.assert_allclose(policies.probabilities[learner, seed, :, 0], cooperates, atol=1e-6)
        loaded = registry.load(run.path, seed=seed)[learner]
        np.testing.assert_allclose(policies.probabilities[learner, seed], loaded.probabilities, atol=1e-6)


def test_where_strategies_lie_in_the_family():
    """Built from chi and phi; a dot's place is (phi, phi chi), and worse fits have larger dots."""
    game, axis = prisoners_dilemma(), plt.figure().add_subplot()
    built = [(1.5, 0.1), (3.0, 0.05)]
    players = [extortion(game, chi, phi).probabilities for chi, phi in built]
    far = np.full((5, 2), 0.5)
    exact_figures.draw_family(axis, {"fits": fit_extortion(Memory1(np.stack([*players, far])), game)}, game)
    (dots,) = axis.collections
    np.testing.assert_allclose(dots.get_offsets()[:2], [(phi, phi * chi) for chi, phi in built], atol=1e-4)
    sizes = dots.get_sizes()
    np.testing.assert_allclose(sizes[:2], 8, atol=1e-2)
    assert sizes[2] > 10
    (triangle,) = axis.patches
    corners = {tuple(np.round(corner, 6)) for corner in triangle.get_xy()}
    assert corners == {tuple(np.round(corner, 6)) for corner in family_corners(game)}
    for line, chi in zip(axis.lines, (1.0, 2.0, 4.0, 8.0), strict=True):  # rays of equal chi, to the largest phi
        phi = 1 / (1 + 2 * chi)
        np.testing.assert_allclose(line.get_xydata(), [[0, 0], [phi, phi * chi]], atol=1e-9)
    plt.close(axis.figure)


def test_training_panels_have_all_rewards_and_all_probabilities(run):
    rewards, policy = exact_figures.training_panels(run)
    assert (rewards.y_label, policy.y_label) == ("reward per round", "P(cooperate)")
    drawn = {"agent against agent": "reward_vs_learner", "agent against naive": "reward_vs_naive"}
    drawn |= {"naive against agent": "reward_of_naive"}
    assert [band.label for band in rewards.bands] == list(drawn)
    assert [band.label for band in policy.bands] == ["START", "CC", "CD", "DC", "DD"]
    named = [*drawn.values(), "p_start", "p_cc", "p_cd", "p_dc", "p_dd"]
    for band, name in zip([*rewards.bands, *policy.bands], named, strict=True):
        np.testing.assert_array_equal(band.x, ITERATIONS)
        np.testing.assert_allclose(band.values[:, -1], by_hand(run, name, 8))


def test_a_run_is_drawn_with_the_family_only_where_there_is_one(run, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(exact_figures, "save", lambda figure, path: drawn.append((figure, path)))
    exact_figures.draw_run(run, TINY_EXACT, tmp_path / "dilemma")
    hunt = adjust(TINY_EXACT, game=MatrixGame((4.0, 0.0, 3.0, 2.0), 5))  # a stag hunt has no such family
    exact_figures.draw_run(run, hunt, tmp_path / "hunt")
    (dilemma, one), (without, other) = drawn
    assert (one, other) == (tmp_path / "dilemma", tmp_path / "hunt")
    assert dilemma.axes[-1].axison and len(dilemma.axes[-1].collections[0].get_offsets()) == 2 * 3
    assert not without.axes[-1].axison
    for figure, _ in drawn:
        assert len(figure.axes) == 3
        plt.close(figure)
