"""The examples run: cut short, so that their outcome is not tested, but for what is exact."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import coplayer as cp
from coplayer.experiments.registry import EXPERIMENTS
from coplayer.runs.folder import RunFolder

EXAMPLES = Path(__file__).parents[1] / "examples"


def example(name, **cut):
    """The names of an example, some of its constants replaced."""
    names = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    names["main"].__globals__.update(cut)
    return names


@pytest.fixture(autouse=True)
def registries():
    """What examples register is gone after each."""
    kept = [(r, dict(r)) for r in (cp.GAMES, cp.RULES, cp.ESTIMATORS, cp.RECIPES, EXPERIMENTS)]
    yield
    for registry, before in kept:
        registry.clear()
        registry.update(before)


def test_a_game_with_state_is_trained_on_and_played_by_a_scripted_player(capsys):
    example("your_own_game", ITERATIONS=100)["main"]()
    learner, careful = capsys.readouterr().out.splitlines()
    assert learner.startswith("with the other learner: reward per round ")
    assert careful.startswith("with a careful shepherd: reward per round ")


def test_the_game_with_state_is_a_short_file():
    lines = (EXAMPLES / "your_own_game.py").read_text().splitlines()
    first = lines.index("@dataclass(frozen=True)")
    last = next(i for i, line in enumerate(lines) if line.startswith("class Careful"))
    assert last - first < 40
    assert isinstance(example("your_own_game")["Pasture"](), cp.Game)


def test_a_pasture_by_hand():
    game = example("your_own_game")["Pasture"]()
    for grass in range(6):
        for actions in ((0, 0), (0, 1), (1, 0), (1, 1)):
            after, rewards = game.step(jnp.asarray(grass), jnp.asarray(actions), jax.random.key(grass))
            grown = int(jax.random.bernoulli(jax.random.key(grass), 0.6))
            assert int(after) == min(5, max(0, grass - sum(actions) + grown))
            np.testing.assert_allclose(rewards, [(0.5 + 0.5 * a) * (grass > 0) for a in actions])


@pytest.mark.long
def test_two_learners_hunt_a_stag(capsys):
    game = cp.MatrixGame([[4, 0], [3, 2]], rounds=4)
    example("your_own_payoffs", PHASES=1, GAME=game, FIRST_UPDATES=10, UPDATES=10)["main"]()
    lines = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ")[0] for line in lines] == [
        "reward per round against the other learner:",
        "reward per round against the one who answers:",
        "two who answer, exactly:",
    ]


@pytest.mark.long
def test_a_meta_agent_meets_a_learning_rule_of_ones_own(capsys):
    example("your_own_learning_rule", ITERATIONS=10)["main"]()
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("iteration 10: reward per round ") and first == last


def test_advantage_alignment_against_its_double_sum():
    estimate = example("advantage_alignment")["advantage_alignment"]
    steps, batch, gamma, beta = 5, 3, 0.8, 0.7
    draws = np.random.default_rng(0).normal(size=(2, steps, batch))
    rewards, other_rewards = (jnp.asarray(rows, jnp.float32) for rows in draws)
    outcome = cp.Outcome(rewards, jnp.zeros((steps, batch)), jnp.zeros(batch), other_rewards)
    found = estimate(outcome, episode_length=steps, gamma=gamma, gae_lambda=1.0, beta=beta)

    def advantages(rows):
        to_go = np.array([sum(gamma ** (k - t) * rows[k] for k in range(t, steps)) for t in range(steps)])
        return to_go - to_go.mean(1, keepdims=True)

    own, others = map(advantages, draws)
    for t in range(steps):
        past = sum(gamma ** (t - k) * own[k] for k in range(t))
        np.testing.assert_allclose(found[t], own[t] + beta * gamma * past * others[t], rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_two_agents_align_their_advantages(capsys):
    example("advantage_alignment", ITERATIONS=10)["main"]()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 and lines[0].startswith("against each other: cooperation ")


def test_an_experiment_of_ones_own_runs_from_the_command_line(tmp_path, capsys):
    main = runpy.run_path(str(EXAMPLES / "your_own_experiment.py"))["cli"].main
    words = f"train trial-and-error --phases 2 --trials 30 --seeds 2 --game.rounds 5 --out {tmp_path}/run"
    assert main(words.split()) == 0
    assert "| cooperation, learner against learner |" in (tmp_path / "run" / "summary.md").read_text()
    rows, players = RunFolder.open(tmp_path / "run").metrics(), cp.load(tmp_path / "run", seed=1)
    paid = cp.mean_rewards(*players, cp.prisoners_dilemma(5))
    last = [row for row in rows if (row["phase"], row["seed"]) == (2, 1)]
    np.testing.assert_allclose([row["reward_vs_learner"] for row in last], paid, rtol=1e-5)
    assert main(["train", "trial-and-error", "--game", "public-goods", "--out", f"{tmp_path}/no"]) == 2
    assert "game: must be a matrix game" in capsys.readouterr().err


@pytest.mark.long
def test_unlike_players_meet_in_a_tournament(capsys):
    example("tournament", UPDATES=10, GAME=cp.prisoners_dilemma(rounds=4))["main"]()
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 + 5
    assert {line.split("|")[1].strip() for line in lines[2:]} == {
        *("PPI", "A2C", "COALA-PG", "tit-for-tat", "always-defect")
    }


def test_a_learner_from_outside_meets_a_player_of_ours(capsys):
    pytest.importorskip("pettingzoo", reason="needs coplayer[pettingzoo]")
    example("pettingzoo_learner", EPISODES=3)["main"]()
    assert capsys.readouterr().out.startswith("reward per round: ")


@pytest.mark.long
def test_learners_and_shapers_train_in_jaxmarls_coin_game(capfd):
    pytest.importorskip("jaxmarl", reason="needs coplayer[jaxmarl]")
    example("jaxmarl_coin_game", ITERATIONS=2)["main"]()
    lines = [line for line in capfd.readouterr().out.splitlines() if "with itself" in line]
    assert [line.partition(",")[0] for line in lines] == ["A2C", "COALA-PG"]
