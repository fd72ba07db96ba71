"""Agents that come with the package: each can be loaded and plays as its card says; damaged files are refused."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest

import coplayer
from coplayer.analysis.zero_determinant import fit_extortion
from coplayer.errors import CoplayerError
from coplayer.experiments import pretrained as module
from coplayer.experiments import registry
from coplayer.experiments.pretrained import pretrained
from coplayer.experiments.tournaments import players_of
from coplayer.games.cleanup import CleanUpLite
from coplayer.games.matrix import prisoners_dilemma
from coplayer.play.rollout import play_match
from coplayer.players.memory1 import named_strategy
from coplayer.runs.folder import RunFolder
from coplayer.settings import adjust
from tiny import TINY
from tool import tool

pretrain = tool("pretrain")


@pytest.mark.parametrize("name", pretrained.list())
def test_agents_of_a_name_play_each_other_and_have_a_card(name):
    agents = pretrained(name)
    assert len(agents) >= 2
    _, settings = registry.settings_of_folder(RunFolder(pretrained.folder(name)))
    game = dataclasses.replace(settings.game, rounds=3)
    match = play_match(tuple(agents[:2]), game, jax.random.key(0), episodes=2)
    assert np.isfinite(match.view(0).rewards).all()
    card = pretrained.card(name)
    for heading in ("## How they were trained", "## What they do", "## Limits"):
        assert heading in card
    assert card.startswith(f"# {name}\n")


def test_ppi_mixed_does_what_its_card_says():
    """It cooperates with its own kind late in an episode, and exploits who always cooperates."""
    agents, game = coplayer.pretrained("ppi-mixed"), prisoners_dilemma()
    together = np.asarray(play_match(tuple(agents), game, jax.random.key(1), episodes=8).joint)
    assert (together[-25:] == 0).mean() > 0.9
    alone = play_match((agents[0], named_strategy("always_cooperate")), game, jax.random.key(2), episodes=4)
    assert np.asarray(alone.view(0).rewards).mean() > 1.9


def test_ppi_step1_and_step2_do_what_their_cards_say():
    """Step 1 answers tit-for-tat and exploits always-cooperate; step 2 extorts step 1: its first learner the second."""
    first, second = pretrained("ppi-step1"), pretrained("ppi-step2")
    game = prisoners_dilemma()
    answers = play_match((first[0], named_strategy("tit_for_tat")), game, jax.random.key(7), episodes=16)
    assert (np.asarray(answers.joint)[-25:] == 0).mean() > 0.8
    alone = play_match((first[0], named_strategy("always_cooperate")), game, jax.random.key(8), episodes=4)
    assert np.asarray(alone.view(0).rewards).mean() > 1.9
    match = play_match((second[0], first[1]), game, jax.random.key(9), episodes=32)
    extorts, extorted = (np.asarray(match.view(player).rewards).mean() for player in range(2))
    assert extorts > 0.6 and extorts - extorted > 0.3


def test_coala_ipd_does_what_its_card_says():
    """Its agents cooperate with each other through a meta-trajectory."""
    agents = pretrained("coala-ipd")
    match = play_match((agents[0], agents[3]), prisoners_dilemma(10), jax.random.key(3), episodes=16, inner_episodes=20)
    assert np.asarray(match.view(0).rewards).mean() > 0.95


def test_exact_shaper_does_what_its_card_says():
    """It takes more than the half of what it and always-cooperate earn, and defects with its own kind."""
    agents, game = pretrained("exact-shaper"), prisoners_dilemma()
    alone = play_match((agents[0], named_strategy("always_cooperate")), game, jax.random.key(5), episodes=64)
    rewards = [np.asarray(alone.view(player).rewards).mean() for player in range(2)]
    np.testing.assert_allclose(rewards, [1.23, 0.53], atol=0.03)
    together = play_match(tuple(agents), game, jax.random.key(6), episodes=64)
    assert np.asarray(together.view(0).measures["cooperation"]).mean() < 0.1
    fit = fit_extortion(agents[0], game)
    assert float(fit.chi) == pytest.approx(3.31, abs=0.01) and float(fit.residual) == pytest.approx(0.10, abs=0.005)


def test_cleanup_mixed_does_what_its_card_says():
    """Agent 1 cleans, agent 0 does not, and both earn more than by chance."""
    agents = pretrained("cleanup-mixed")
    match = play_match((agents[0], agents[1]), CleanUpLite(), jax.random.key(4), episodes=16, inner_episodes=5)
    waits, cleans = match.view(0), match.view(1)
    assert np.asarray(waits.measures["cleaning"]).mean() < 0.02
    assert np.asarray(cleans.measures["cleaning"]).mean() > 0.25
    assert np.asarray(waits.rewards).mean() > 0.15 and np.asarray(cleans.rewards).mean() > 0.07


def test_agents_made_of_a_run_are_those_of_the_run(tmp_path, monkeypatch):
    registry.train(adjust(TINY, seeds=2, seed=4), tmp_path / "run")
    monkeypatch.setattr(pretrain, "HOME", tmp_path / "home")
    monkeypatch.setattr("sys.argv", ["pretrain.py", str(tmp_path / "run"), "mine", "--seed", "5"])
    pretrain.main()
    monkeypatch.setattr(module, "_home", lambda: tmp_path / "home")
    assert pretrained.list() == ["mine"]
    for made, own in zip(pretrained("mine"), registry.load(tmp_path / "run", seed=5), strict=True):
        for one, other in zip(jax.tree.leaves(made), jax.tree.leaves(own), strict=True):
            np.testing.assert_array_equal(one, other)


def test_an_unknown_name_and_a_damaged_file_are_refused_in_one_line(tmp_path, monkeypatch):
    with pytest.raises(CoplayerError, match=r"'nobody' is not one of .*coala-ipd, .*ppi-mixed"):
        pretrained("nobody")
    shutil.copytree(pretrained.folder("ppi-mixed"), tmp_path / "ppi-mixed")
    weights = tmp_path / "ppi-mixed" / module.AGENTS
    weights.write_bytes(weights.read_bytes()[:-40])
    monkeypatch.setattr(module, "_home", lambda: tmp_path)
    with pytest.raises(CoplayerError, match=r"agents.safetensors: unreadable"):
        pretrained("ppi-mixed")


def test_they_play_in_tournaments_by_their_name():
    assert list(players_of(("ppi-mixed", "tit_for_tat"))) == ["ppi-mixed 0", "ppi-mixed 1", "tit_for_tat"]
