"""Equilibrium measures of a pair of learners: zero where they are at an equilibrium, and of a run's folder."""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from coplayer import cli
from coplayer.experiments import a2c_mixed, ppi_mixed, registry
from coplayer.games.matrix import MatrixGame, prisoners_dilemma
from coplayer.networks.world_model import RoundModel
from coplayer.players.planner import PlannerSettings, PPIPlayer
from coplayer.pools import tabular
from coplayer.reproduce.equilibrium import MEANING, measure_pair
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust
from tiny import TINY, TINY_A2C

PRICED = ("believed_price", "actual_price", "peace")
GAPS = ("excess_action", "excess_observation", "policy_gap", "subjective_gap")
SAMPLED = PlannerSettings(2, 3, 0.01, expected_rewards=False, common_random_numbers=True)


def blind_player(game, own, replies, rewards):
    """A player whose model says the same whatever has been: logits of its own action and of each reply to each own
    action, and rewards.
    """
    model = RoundModel(game, 3, key=jax.random.key(0))
    bias = jnp.asarray([*own, *replies, *rewards], jnp.float32)
    weights = jnp.zeros_like(model.head_weights)
    return PPIPlayer(eqx.tree_at(lambda m: (m.head_weights, m.head_bias), model, (weights, bias)), SAMPLED)


def measured(players, game, pool):
    """All measures but the prices of a defection, which are no distance to an equilibrium."""
    pool = tabular.pool_of(pool, game)
    result = measure_pair(players, game, pool, jax.random.key(0), episodes=6, histories=2, plans=3)
    for learner in result:
        assert all(name in learner["learner"] and name not in learner["tabular"] for name in PRICED)
        learner["learner"] = {name: value for name, value in learner["learner"].items() if name not in PRICED}
    return jax.tree.map(float, result)


def test_mutual_defection_is_an_equilibrium():
    """The model expects defection of both, and is right; to defect is best in it."""
    game = prisoners_dilemma(4)
    player = blind_player(game, (-25, 25), (-25, 25) * 2, (1, -1, 2, 0))
    for learner in measured([player, player], game, ("always_defect",)):
        for measures in learner.values():
            np.testing.assert_allclose(list(measures.values()), 0, atol=1e-5)


def test_one_false_belief_shows_in_its_measure_alone():
    """As above, but each thinks that the other cooperates with probability 3/4."""
    game = prisoners_dilemma(4)
    player = blind_player(game, (-25, 25), (np.log(3), 0) * 2, (1, -1, 2, 0))
    for learner in measured([player, player], game, ("always_defect",)):
        for measures in learner.values():
            assert measures.pop("excess_observation") == pytest.approx(np.log(4), abs=1e-4)
            np.testing.assert_allclose(list(measures.values()), 0, atol=1e-5)


def test_chance_play_where_nothing_matters_is_an_equilibrium():
    """Both expect coins, and no action earns more: pure entropy. Rewards of 3 that are thought 0 cost 9/2 in seat 1."""
    game = MatrixGame([np.zeros((2, 2)), np.full((2, 2), 3.0)], rounds=4)
    player = blind_player(game, (0, 0), (0,) * 4, (0,) * 4)
    for seat, learner in enumerate(measured([player, player], game, ("random",))):
        for kind, measures in learner.items():
            assert measures["excess_reward"] == pytest.approx(4.5 * seat, rel=1e-5)
            np.testing.assert_allclose([measures[name] for name in GAPS], 0, atol=1e-5)
            entropies = [measures["entropy_action"], measures["entropy_observation"]]
            np.testing.assert_allclose(entropies, np.log(2), rtol=1e-5)
            assert measures.get("inference", 0) == pytest.approx(0, abs=1e-6), kind


def test_a_prior_that_planning_overturns_shows_in_both_gaps():
    """The model thinks that it cooperates with probability 3/4, but it always defects, for 1 a round more."""
    game = prisoners_dilemma(4)
    player = blind_player(game, (np.log(3), 0), (-25, 25) * 2, (1, -1, 2, 0))
    for learner in measured([player, player], game, ("always_defect",)):
        for measures in learner.values():
            assert measures["policy_gap"] == pytest.approx(np.log(4), abs=1e-4)
            assert measures["excess_action"] == pytest.approx(np.log(4), abs=1e-4)
            assert measures["subjective_gap"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("learners", [2, pytest.param(3, marks=pytest.mark.long)])
def test_a_run_is_measured_through_the_command_line(tmp_path, capsys, learners):
    out = tmp_path / "run"
    registry.train(adjust(TINY, learners=learners, episodes=16), out)
    command = ["equilibrium", str(out), "--episodes", "4", "--histories", "3", "--plans", "2"]
    assert cli.main(command) == 0
    printed = capsys.readouterr().out
    assert "Phase 3." in printed and "ours" in printed
    assert f"figure: {out / 'figures' / 'equilibrium.png'}" in printed
    assert f"table: {out / 'equilibrium.md'}" in printed
    assert (out / "figures" / "equilibrium.svg").read_text().count("<svg") == 1
    written = json.loads((out / "equilibrium.json").read_text())
    assert (written["episodes"], written["histories"], written["plans"]) == (4, 3, 2)
    assert set(written["phases"]) == {"1", "2", "3"} and written["units"]["policy_gap"] == "nats"
    for kinds in written["phases"].values():
        assert set(kinds["learner"]) == set(MEANING) - {"inference"}
        assert set(kinds["tabular"]) == set(MEANING) - set(PRICED)
        for measures in kinds.values():
            assert all(np.shape(values) == (1, learners) for values in measures.values())
            assert all(np.isfinite(values).all() for name, values in measures.items() if name not in PRICED)
            assert np.min(measures["policy_gap"]) >= 0
        for learner in range(learners):  # a price is known where there is peace
            known = [kinds["learner"][name][0][learner] is not None for name in PRICED]
            assert known == [kinds["learner"]["peace"][0][learner] > 0] * 2 + [True]
    first = (out / "equilibrium.json").read_bytes()
    assert cli.main(command) == 0 and (out / "equilibrium.json").read_bytes() == first


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--histories", "7"], "histories: must be 1 to 6, the rounds of an episode, got 7"),
        (["--episodes", "0"], "episodes: must be at least 1, got 0"),
        (["--plans", "1"], "plans: must be at least 2, got 1"),
        ([], "no phase is done yet"),
    ],
)
def test_what_cannot_be_measured_is_one_line(flags, message, tmp_path, capsys):
    RunFolder.create(tmp_path / "run", registry.description(ppi_mixed, TINY, tmp_path / "run", "quick"))
    assert cli.main(["equilibrium", str(tmp_path / "run"), *flags]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_learners_without_a_model_have_no_such_measures(tmp_path, capsys):
    RunFolder.create(tmp_path / "run", registry.description(a2c_mixed, TINY_A2C, tmp_path / "run", "quick"))
    assert cli.main(["equilibrium", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert "a2c-mixed learners have no model of their co-player" in error and error.count("\n") == 1
