"""The exact figures: their runs do not depend on what else is registered, and their numbers are those of the runs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer.analysis.zero_determinant import fit_extortion
from coplayer.experiments import exact_ipd, registry
from coplayer.experiments.exact_ipd import values_of
from coplayer.learning.exact_gradients import naive, swapped
from coplayer.reproduce import meulemans_exact
from coplayer.reproduce.meulemans_exact import LOOKAHEADS, STUDIES
from coplayer.runs import checkpoint
from coplayer.settings import adjust

# As in test_reproduce, so that most of the compiled programs are the same.
SMALL = {"iterations": 8, "log_every": 2, "phases": 4, "inner_episodes": 2, "naive_learners": 3, "seeds": 2}


def figure_runs(name):
    return STUDIES[name].runs("quick")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """Small runs of a figure, its settings, and its quantities by their names."""
    path = tmp_path_factory.mktemp("figures")

    @functools.cache
    def make(name):
        with pytest.MonkeyPatch.context() as monkeypatch:
            monkeypatch.setattr(meulemans_exact, "LOOKAHEADS", {3: LOOKAHEADS[3], 20: LOOKAHEADS[20]})
            settings = {run: adjust(full, **SMALL) for run, full in figure_runs(name).items()}
            folders = {run: registry.train(small, path / run) for run, small in settings.items()}
            quantities = STUDIES[name].draw(folders, settings, path / name)
        assert (path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert len({quantity.name for quantity in quantities}) == len(quantities)
        return folders, settings, {quantity.name: quantity for quantity in quantities}

    return make


def at(folder, name, iteration):
    """A metric of each seed, mean over the two agents."""
    rows = [row for row in folder.metrics() if row["iteration"] == iteration]
    return np.array([np.mean([row[name] for row in rows if row["seed"] == seed]) for seed in range(2)])


def last(folder):
    """The reward of the two agents against each other at the end."""
    return at(folder, "reward_vs_learner", 8)


def test_which_runs_each_figure_needs():
    assert {name: set(figure_runs(name)) for name in STUDIES} == {
        "meulemans-fig3": {"shaping-then-together", "mixed-from-random", "meta-only-from-random"},
        "meulemans-fig4": {f"lookahead-{steps}" for steps in (1, 2, 3, 10, 20)}
        | {f"lookahead-{steps}-mixed" for steps in (3, 10, 20)},
        "meulemans-fig8": {"shaping-long-horizon"},
        "meulemans-fig9": {"mixed-from-always-defect"},
        "meulemans-fig10": {"mixed-from-tit-for-tat"},
    }
    for name in STUDIES:
        assert figure_runs(name) == STUDIES[name].runs("paper")
        for settings in figure_runs(name).values():
            exact_ipd.check(settings)


def test_a_new_method_adds_no_run_to_a_figure(monkeypatch):
    before = {name: figure_runs(name) for name in STUDIES}
    monkeypatch.setitem(exact_ipd.METHODS, "mine", lambda agents: naive)
    assert {name: figure_runs(name) for name in STUDIES} == before


def test_the_settings_of_the_published_runs():
    runs = figure_runs("meulemans-fig4")
    for steps, (rate, share) in LOOKAHEADS.items():
        plain, mixed = runs[f"lookahead-{steps}"].agents, runs.get(f"lookahead-{steps}-mixed")
        assert (plain.method, plain.lookaheads, plain.lookahead_rate) == ("lookahead", steps, rate)
        assert (plain.method_share, plain.gamma) == (1, 0.95)
        assert (mixed is None) == (share == 1)
        if mixed is not None:
            assert mixed.agents == dataclasses.replace(plain, method_share=share)
    together = figure_runs("meulemans-fig3")["shaping-then-together"]
    assert together.naive.shares == (1.0, 0.0) and together.agents.first_policy == "always_defect"
    assert figure_runs("meulemans-fig8")["shaping-long-horizon"].agents.gamma == 0.999
    for figure, start in (("fig9", "always_defect"), ("fig10", "tit_for_tat")):
        (group,) = figure_runs(f"meulemans-{figure}").values()
        assert (group.agents.first_policy, group.naive.shares) == (start, (0.1,))


def test_figure_3(drawn):
    folders, _, found = drawn("meulemans-fig3")
    together = folders["shaping-then-together"]
    shaper, learner = (at(together, name, 4) for name in ("reward_vs_naive", "reward_of_naive"))  # as they turn
    expected = {
        "A: shaper's reward against naive learners (mutual defection 0)": shaper,
        "A: the naive learners' reward": learner,
        "A: difference, shaper less naive": shaper - learner,
        "B: shaper against shaper, as they meet": at(together, "reward_vs_learner", 4),
        "B: the same, at the end": at(together, "reward_vs_learner", 8),
        "C: meta against meta in the mixed group": at(folders["mixed-from-random"], "reward_vs_learner", 8),
        "C: meta against meta, meta only": at(folders["meta-only-from-random"], "reward_vs_learner", 8),
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].ours, values)


@pytest.mark.long
def test_figure_4(drawn):
    folders, settings, found = drawn("meulemans-fig4")
    assert set(folders) == {"lookahead-3", "lookahead-3-mixed", "lookahead-20", "lookahead-20-mixed"}
    frozen = meulemans_exact.naive_against_frozen(folders["lookahead-20"], settings["lookahead-20"])
    expected = {
        "A: 3 look-ahead(s), reward at the end": last(folders["lookahead-3"]),
        "A: 20 look-ahead(s), reward at the end": last(folders["lookahead-20"]),
        "B: the frozen policy's reward, at the end": frozen[0, :, -1],
        "B: the naive learner's reward, at the end": frozen[1, :, -1],
        "B: difference, frozen less naive": frozen[0, :, -1] - frozen[1, :, -1],
        "C: 3 look-aheads with weight 0.75, reward at the end": last(folders["lookahead-3-mixed"]),
        "C: 20 look-aheads with weight 0.4, reward at the end": last(folders["lookahead-20-mixed"]),
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].ours, values)
    assert found["A: 3 look-ahead(s), reward at the end"].paper == 0.95
    assert found["A: 3 look-ahead(s), reward at the end"].at_least == 0.5
    assert found["A: 20 look-ahead(s), reward at the end"].at_most == 0.5


@pytest.mark.long
def test_a_naive_learner_against_a_frozen_agent_step_by_step(drawn):
    folders, settings, _ = drawn("meulemans-fig4")
    folder, chosen = folders["lookahead-20"], settings["lookahead-20"]
    rewards = meulemans_exact.naive_against_frozen(folder, chosen)
    assert rewards.shape == (2, 2, meulemans_exact.NAIVE_STEPS)
    frozen = jnp.asarray(exact_ipd.logits_of(chosen, checkpoint.load(folder.agents_file(4))[1])[0])
    learner = jax.random.normal(jax.random.key(chosen.run.seed), frozen.shape)
    values = values_of(chosen.game, chosen.agents.gamma)
    for step in range(5):
        np.testing.assert_allclose(rewards[:, :, step], values(frozen, learner), atol=1e-5)
        learner = learner + chosen.naive.naive_rate * naive(swapped(values), learner, frozen)


def test_figure_8(drawn):
    folders, settings, found = drawn("meulemans-fig8")
    (folder,), (chosen,) = folders.values(), settings.values()
    for seed in range(2):
        fit = fit_extortion(registry.load(folder.path, seed=seed)[0], chosen.game)
        assert found["residual, learned shapers"].ours[seed] == pytest.approx(float(fit.residual), abs=1e-5)
        assert found["phi, learned shapers"].ours[seed] == pytest.approx(float(fit.phi), abs=1e-4)
        fair = found["1 / chi, learned shapers (1: fair, 0: takes all)"].ours[seed]
        assert fair == pytest.approx(1 / float(fit.chi), abs=1e-3)
    assert found["residual, random policies"].ours.shape == (meulemans_exact.RANDOM_POLICIES,)


@pytest.mark.parametrize("name", ["meulemans-fig9", "meulemans-fig10"])
def test_figures_9_and_10(name, drawn):
    folders, _, found = drawn(name)
    (folder,) = folders.values()
    moves = [np.abs(at(folder, f"p_{state}", 8) - at(folder, f"p_{state}", 0)) for state in exact_ipd.OBSERVATIONS]
    expected = {
        "reward meta against meta, first": at(folder, "reward_vs_learner", 0),
        "reward meta against meta, at the end": at(folder, "reward_vs_learner", 8),
        "reward meta against naive, at the end": at(folder, "reward_vs_naive", 8),
        "largest move of a probability": np.max(moves, axis=0),
    }
    assert found.keys() == expected.keys()
    for quantity, values in expected.items():
        np.testing.assert_allclose(found[quantity].ours, values)
