"""What an experiment must supply: those of the package, and one from elsewhere that runs through everything."""

import json

import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.join import join
from coplayer.experiments.protocol import Experiment
from coplayer.games import names
from coplayer.reproduce.report import report
from coplayer.runs.training import Training
from coplayer.settings import adjust
from stopping import StopAfter, assert_same
from toy import Saving, Toy
from vault import Vault


@pytest.fixture(autouse=True)
def known(monkeypatch):
    """A registry and games of this test alone, with the toy in them."""
    monkeypatch.setattr(registry, "EXPERIMENTS", dict(registry.EXPERIMENTS))
    monkeypatch.setattr(registry, "RECIPES", dict(registry.RECIPES))
    monkeypatch.setattr(names, "GAMES", dict(names.GAMES))
    names.register("vault", Vault())
    registry.register(Saving())


def test_every_experiment_of_the_package_meets_the_protocol():
    assert list(registry.EXPERIMENTS) == ["ppi-mixed", "a2c-mixed", "exact-ipd", "coala-ipd", "toy"]
    for experiment in registry.EXPERIMENTS.values():
        assert isinstance(experiment, Experiment)
        for recipe in experiment.RECIPES.values():
            for settings in recipe.presets.values():
                experiment.check(settings)
                assert experiment.match_episodes(settings) >= 1


def test_an_experiment_from_elsewhere_is_trained_resumed_joined_and_reported(tmp_path):
    assert isinstance(Saving().Trainer(Toy()), Training)
    whole = registry.train(Toy(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        registry.train(Toy(), tmp_path / "stopped", reporter=StopAfter(1))
    registry.resume(tmp_path / "stopped")
    assert_same(tmp_path / "stopped", whole.path)
    parts = [registry.train(adjust(Toy(), seed=i, seeds=1), tmp_path / f"part-{i}").path for i in (0, 1)]
    assert_same(join(parts, tmp_path / "joint").path, whole.path)
    text = report(whole, phases="all", episodes=4).text
    assert "| saving, learner against learner |" in text and "| reward against the other learner, evaluated |" in text
    assert "cooperation" not in text
    found = json.loads((whole.path / "evaluation.json").read_text())["phases"]["2"]
    assert set(found) == {"learner", "tabular"}
    assert set(found["learner"]) == {
        *("reward", "saving", "other_reward", "other_saving"),
        *("share", "slope", "intercept", "correlation"),
    }
    assert np.shape(found["learner"]["saving"]) == (2, 2, 6)
    for name in ("training", "within_episode", "evaluation"):
        assert (whole.figures / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert not (whole.figures / "signature.png").exists()


def test_it_is_a_command_with_all_its_flags(tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["train", "toy", "--help"])
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "saving options" in text and "how fast" in text and "--shape {linear,square}" in text
    assert "Probability that the vault grows where both save. (default: 0.75)" in text
    flags = ["--step", "0.5", "--game.growth", "0.5", "--game.rounds", "3", "--seeds", "1"]
    assert cli.main(["train", "toy", *flags, "--out", str(tmp_path / "run")]) == 0
    assert "saving, learner against learner" in capsys.readouterr().out
    stored = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert stored["game"] == {"name": "vault", "growth": 0.5, "told": "symbol", "rounds": 3}
    assert stored["saving"] == {"step": 0.5, "shape": "linear"}
    assert cli.main(["train", "toy", "--step", "2", "--out", str(tmp_path / "bad")]) == 2
    assert "step: must be a finite number above 0 and at most 1, got 2" in capsys.readouterr().err


def test_a_game_of_more_players_is_reported_without_an_evaluation(tmp_path):
    settings = adjust(Toy(), game=names.GAMES["public-goods"], phases=1)
    text = report(registry.train(settings, tmp_path / "run"), phases="last", episodes=2).text
    assert "| cooperation, learner against learner |" in text and "evaluated" not in text


class Lacking:
    NAME = "lacking"
    RECIPES: dict = {}  # noqa: RUF012
    LENDS_AGENTS = False


def test_what_an_experiment_lacks_is_named():
    with pytest.raises(CoplayerError, match="lacking lacks JOINABLE, check, Trainer, players, match_episodes, panel"):
        registry.register(Lacking())
    assert "lacking" not in registry.EXPERIMENTS
