"""Tournaments as files: who is meant by a word, and that tables say what was played."""

import csv

import jax
import numpy as np
import pytest

from coplayer import cli
from coplayer.analysis.tournament import tournament
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.tournaments import hold, players_of
from coplayer.games.matrix import prisoners_dilemma
from coplayer.players.automaton import axelrod_automata
from coplayer.settings import adjust
from tiny import TINY_A2C

GAME = prisoners_dilemma(10)
WORDS = ("tit_for_tat", "Defector", "ZD-Extort-2")


def read(path):
    return list(csv.reader(path.open()))


def test_the_files_of_a_tournament_say_what_was_played(tmp_path):
    players = players_of(WORDS)
    held = hold(players, GAME, tmp_path / "out", matches=30, seed=4, population=3)
    expected = tournament(players, GAME, jax.random.split(jax.random.key(4))[0], episodes=30)
    np.testing.assert_array_equal(held.tournament.rewards, expected.rewards)
    head, *rows = read(held.table)
    assert head == ["rank", "player", "reward", "low", "high", "cooperation"]
    for (place, name, reward, low, high, cooperation), (who, mean) in zip(rows, expected.ranking(), strict=True):
        assert name == who and float(reward) == pytest.approx(mean, abs=1e-4)
        assert float(low) <= float(reward) <= float(high) and rows[int(place) - 1][1] == name
        own = expected.measures["cooperation"][expected.names.index(name)].mean()
        assert float(cooperation) == pytest.approx(own, abs=1e-4)
    for name, values in {"rewards": expected.rewards, **expected.measures}.items():
        cells = read(tmp_path / "out" / f"{name}.csv")
        assert cells[0][1:] == [row[0] for row in cells[1:]] == list(expected.names)
        np.testing.assert_allclose(np.array([row[1:] for row in cells[1:]], float), values, atol=1e-4)
    for picture in ("ranking", "matrices", "population"):
        assert (tmp_path / "out" / f"{picture}.png").read_bytes().startswith(b"\x89PNG")
    taken = {name: float(share) for name, share, *_ in read(tmp_path / "out" / "population.csv")[1:]}
    assert sum(taken.values()) == pytest.approx(1, abs=1e-3) and max(taken, key=taken.get) == "tit_for_tat"
    assert taken["(nobody yet)"] == 0


def test_players_are_names_runs_and_the_whole_library(tmp_path):
    run = registry.train(adjust(TINY_A2C, seeds=1), tmp_path / "agents")
    found = players_of([str(run.path), "Grudger", "tit_for_tat"])
    assert list(found) == [f"{run.path} 0", f"{run.path} 1", "Grudger", "tit_for_tat"]
    rewards = tournament(found, prisoners_dilemma(5), jax.random.key(0), episodes=4).rewards
    assert rewards[2, 3] == 1.0 and np.isfinite(rewards).all()
    assert players_of(["axelrod"]).keys() == axelrod_automata().keys()
    for words, message in (
        (["Grudger", "axelrod"], "players: Grudger named twice"),
        (["nobody"], "strategy: 'nobody' is not one of"),
        (["runs/mixd"], "players: runs/mixd is not the folder of a run"),
    ):
        with pytest.raises(CoplayerError, match=message):
            players_of(words)


def test_from_the_command_line(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert cli.main(["tournament", *WORDS, "--out", out, "--rounds", "10", "--matches", "2", "--noise", "0.1"]) == 0
    told = capsys.readouterr().out
    assert "tit_for_tat" in told and "ranking.csv" in told
    assert not (tmp_path / "out" / "population.csv").exists()
    assert cli.main(["tournament", *WORDS, "--out", out]) == 2
    assert "exists already; name a new folder" in capsys.readouterr().err
    for words, message in (
        (["--rounds", "0"], "rounds: must be"),
        (["--noise", "2"], "noise: must be a probability"),
        (["--matches", "0"], "matches: must be"),
        (["--population", "-1"], "population: must be"),
    ):
        assert cli.main(["tournament", "tit_for_tat", "--out", str(tmp_path / "new"), *words]) == 2
        assert message in capsys.readouterr().err
