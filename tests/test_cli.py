"""The command line as a user meets it: help, one-line errors, a run from start to figures."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from coplayer import cli
from coplayer.experiments import registry
from coplayer.games import names
from coplayer.settings import adjust, each
from stopping import StopAfter, assert_same
from tiny import TINY as TINY_PPI
from tiny import TINY_A2C

pytestmark = pytest.mark.usefixtures("compiled_once")

FLAGS = (
    "--model round --game.rounds 6 --phases 2 --hidden 4 --tabular-episodes 32 --fresh-tabular --episodes 12 "
    "--warm-start --first-updates 3 --updates 2 --fit-batch 16 --rollouts 2 --later-rollouts 0 --horizon 3 "
    "--expected-rewards --play-blocks 1"
).split()


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "command",
    [
        *([], ["train"], *(["train", name] for name in registry.RECIPES)),
        *(["sweep"], ["sweep", "a2c-mixed"], ["demo"], ["resume"], ["join"], ["evaluate"], ["report"], ["watch"]),
        *(["equilibrium"], ["reproduce"]),
    ],
)
def test_every_help_reads(command, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*command, "--help")
    assert stop.value.code == 0
    assert "usage: coplayer" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["watch"], ["train", "a2c-mixed"], ["sweep", "exact-ipd"]])
def test_help_is_broken_by_the_width_of_the_terminal_alone(command, capsys, monkeypatch):
    """Not where its docstring is broken."""
    shown = {
        "watch": 'the folder "figures" of the run. An archive stays as it is: there --out is needed.',
        "train": "On Slurm, Open MPI, Kubernetes and Cloud TPU they find one another;",
        "sweep": "all combinations are trained. Where a value has a comma, part the values by semicolons:",
    }
    monkeypatch.setenv("COLUMNS", "900")
    with pytest.raises(SystemExit):
        run(*command, "--help")
    assert shown[command[0]] in capsys.readouterr().out


def test_nothing_asked_for_is_a_hint(capsys):
    assert run() == 2
    assert capsys.readouterr().err.startswith("coplayer: Expected one of {train, sweep, demo,")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "train a2c-mixed --hidden wide",
            "hidden: must be a whole number, got 'wide' (see coplayer train a2c-mixed --help)",
        ),
        (
            "train coala-ipd --naive-share some",
            "naive-share: must be a number, got 'some' (see coplayer train coala-ipd --help)",
        ),
        (
            "train exact-ipd --method guess",
            "invalid choice 'guess' for argument '--method'. Expected one of ('naive', 'l",
        ),
        (
            "train coala-ipd --methods guess",
            "invalid choice 'guess' for argument '--methods'. Expected one of ('coala', ",
        ),
        ("train a2c-mixed --out", "Missing value for argument '--out'."),
        ("train a2c-mixed --game", "game: needs a value, one of ipd, matrix"),
        ("train a2c-mixed --game.rounds 0", "game.rounds: must be a whole number of at least 1, got 0"),
        ("train a2c-mixed --game.payoffs 1 2 3", "game.payoffs: needs n * n numbers"),
        ("train a2c-mixed --game.payoffs [[1,-1],[2]]", "game.payoffs: every row must have the same length"),
        ("train a2c-mixed --game.payoffs [[1,-1],[2,x]]", "game.payoffs: must be numbers, or nested lists such as [["),
        ("train a2c-mixed --game --out x", "game: needs a value, one of ipd, matrix"),
        (
            "train a2c-mixed --game matrix",
            "Missing from coplayer train a2c-mixed: --game.payoffs (see coplayer train a2c-mixed --help)",
        ),
        ("archive run", "Missing from coplayer archive: --out (see coplayer archive --help)"),
        ("evaluate --phases all --out x", "Missing value for argument 'folder'."),
        ("train foo --out x", "train: must be one of ppi-mixed, ppi-step1"),
        ("trane", "unrecognized options: trane; Available subcommands: train, sweep, demo"),
    ],
)
def test_what_cannot_be_parsed_is_told_in_one_line(words, said, capsys):
    assert run(*words.split()) == 2
    text = capsys.readouterr().err
    assert text.startswith(f"coplayer: {said}") and text.count("\n") == 1 and "│" not in text


def test_the_preset_sets_the_defaults_of_the_help(capsys):
    for preset, hidden in (("quick", 32), ("paper", 128)):
        with pytest.raises(SystemExit):
            run("train", "ppi-mixed", "--preset", preset, "--help")
        text = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert f"Width of the recurrent core. (default: {hidden})" in text


def test_train_evaluate_and_resume(tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", "ppi-mixed", *FLAGS, "--seeds", 2, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "phase 2" in printed and "cooperation vs learner" in printed and "imagined" not in printed.split("phase")[0]
    assert f"figure: {out / 'figures' / 'training.png'}" in printed and f"table: {out / 'summary.md'}" in printed
    assert f"report: {out / 'report.html'}" in printed and f"earlier agents too: coplayer evaluate {out}" in printed
    before = (out / "report.html").read_text()
    assert set(json.loads((out / "evaluation.json").read_text())["phases"]) == {"2"}
    assert not (out / "figures" / "evaluation.png").exists()  # one phase is no course
    assert run("evaluate", out) == 0
    assert (out / "report.html").read_text() != before  # which has the earlier agents too
    for name in ("training", "within_episode", "evaluation", "signature"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (out / "figures" / f"{name}.svg").read_bytes()
    evaluation = json.loads((out / "evaluation.json").read_text())
    measured = evaluation["phases"]["2"]["tit_for_tat"]
    assert np.shape(measured["early"]) == (2, 2, 4) and np.shape(measured["first_move"]) == (2, 2)
    assert "NaN" not in (out / "evaluation.json").read_text()
    assert evaluation["seeds"] == [0, 1] and set(evaluation["phases"]) == {"1", "2"}
    assert set(evaluation["phases"]["2"]) == {
        *("learner", "tabular", "tit_for_tat", "always_cooperate", "always_defect"),
        *("win_stay_lose_shift", "generous_tit_for_tat"),
    }
    assert run("evaluate", out, "--phases", "last", "--episodes", 4) == 0
    shutil.rmtree(out / "figures")
    assert run("resume", out) == 0
    assert "is finished; 'coplayer evaluate' plays its learners anew" in capsys.readouterr().out
    assert run("evaluate", out, "--phases", "last", "--episodes", 4) == 0 and (out / "figures").is_dir()
    assert json.loads((out / "evaluation.json").read_text())["episodes"] == 4
    described = json.loads((out / "config.json").read_text())
    described["settings"]["co_players"]["learner_share"] = 1.5
    (out / "config.json").write_text(json.dumps(described))
    for command in ("resume", "evaluate"):
        assert run(command, out) == 2
        assert (
            capsys.readouterr().err
            == "coplayer: learner_share: must be a finite number of at least 0 and at most 1, got 1.5\n"
        )


def test_the_demo_trains_anew_or_goes_on(tmp_path, monkeypatch, capsys):
    recipe = registry.RECIPES["ppi-mixed"]
    presets = recipe.presets | {"demo": adjust(TINY_PPI, seed=7)}
    monkeypatch.setitem(registry.RECIPES, "ppi-mixed", recipe._replace(presets=presets))
    assert run("demo", "--out", tmp_path / "anew") == 0
    described = json.loads((tmp_path / "anew" / "config.json").read_text())
    assert described["settings"]["run"]["seed"] == 7
    assert (described["recipe"], described["preset"]) == ("ppi-mixed", "demo")
    assert "| cooperation, learner against learner |" in (tmp_path / "anew" / "summary.md").read_text()
    with pytest.raises(KeyboardInterrupt):
        registry.train(adjust(TINY_PPI, seed=7), tmp_path / "stopped", reporter=StopAfter(2))
    assert run("demo", "--out", tmp_path / "stopped") == 0
    assert_same(tmp_path / "anew", tmp_path / "stopped")
    capsys.readouterr()
    assert run("demo", "--out", tmp_path / "stopped") == 0
    assert "is finished" in capsys.readouterr().out
    config = tmp_path / "stopped" / "config.json"
    config.write_text(config.read_text().replace('"seed": 7', '"seed": 8'))
    assert run("demo", "--out", config.parent) == 2
    assert f"out: {config.parent} holds a run with other settings; name another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--hidden", "0"], "hidden: must be a finite number above 0, got 0"),
        (["--learning-rate", "nan"], "learning_rate: must be a finite number above 0, got nan"),
        (["--weight-decay", "-1"], "weight_decay: must be a finite number of at least 0, got -1.0"),
        (["--beta1", "1"], "beta1: must be a finite number of at least 0 and below 1, got 1.0"),
        (["--learner-share", "1.5"], "learner_share: must be a finite number of at least 0 and at most 1, got 1.5"),
        (
            ["--learning-rate-end", "2"],
            "learning_rate_end: must be a finite number of at least 0 and at most 1, got 2",
        ),
        (["--game.payoffs", "1", "2", "3"], "payoffs: needs n * n numbers, or 2 * n * n, for n >= 2 actions; got 3"),
        (["--game.payoffs", "1", "2", "3", "inf"], "payoffs: every entry must be finite"),
        (
            ["--pool", "tit_for_two_tats"],
            "pool: 'tit_for_two_tats' is not uniform, memory2, automata, mutants, axelrod",
        ),
        (["--pool", "0.5,0.5,1.5,0,0"], "every entry must lie in [0, 1], got 0 to 1.5"),
        (["--pool", "0.5,0.5"], "the last axis must have 5 entries"),
        (["--model", "token"], "expected_rewards: needs --model round"),
        (["--episodes", "11"], "episodes: 11 in play_blocks = 1 blocks with learner_share = 0.5"),
        (["--tabular-episodes", "8"], "tabular_episodes: must be at least one batch, 16, got 8"),
        (["--seed", "2147483647", "--seeds", "2"], "seed: must be at most 2147483646 with 2 seed(s), got 2147483647"),
        (["--hidden", "100000000"], "GB are free: lower --seeds"),
        (
            ["--game", "chess"],
            "game: must be one of ipd, matrix, public-goods, cleanup-lite, coin, or path/to/file.py:ClassName, "
            "got 'chess'",
        ),
        (["--game", "matrix"], "Missing from coplayer train ppi-mixed: --game.payoffs"),
        (["--game", "none.py:Game"], "game: none.py: no such file"),
        (["--game.cooperation", "2"], "cooperation: must be one of the actions 0 to 1, got 2"),
        (["--game.rounds", "0"], "rounds: must be a whole number of at least 1, got 0"),
        (["--game.payoffs", *"012345678", "--pool", "tit_for_tat"], "pool: 'tit_for_tat' needs a matrix game of two"),
    ],
)
def test_bad_settings_are_one_line_and_make_no_folder(flags, message, tmp_path, capsys):
    assert run("train", "ppi-mixed", *FLAGS, *flags, "--out", tmp_path / "run") == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("coplayer: ") and error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_that_exists_and_one_that_does_not(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert run("train", "ppi-mixed", *FLAGS, "--out", tmp_path) == 2
    assert f"out: {tmp_path} exists already; name a new folder" in capsys.readouterr().err
    for command in ("resume", "evaluate", "equilibrium"):
        assert run(command, tmp_path / "none") == 2
        assert "no such run folder" in capsys.readouterr().err
        assert run(command, tmp_path) == 2
        assert "not a run folder (it has no config.json)" in capsys.readouterr().err


def test_a_flag_that_is_none_is_told_by_the_command(capsys):
    assert run("train", "a2c-mixed", "--rollouts", 3) == 2
    assert "--rollouts" in capsys.readouterr().err
    assert run("evaluate", "somewhere", "--game", "ipd") == 2
    assert "--game" in capsys.readouterr().err


def test_every_training_command_takes_a_game(capsys):
    for name, recipe in registry.RECIPES.items():
        with pytest.raises(SystemExit):
            run("train", name, "--game", "public-goods", "--help")
        text = capsys.readouterr().out
        assert "--game.factor" in text and "--game.payoffs" not in text
        with pytest.raises(SystemExit):
            run("train", name, "--help")
        text = capsys.readouterr().out
        assert "--game.factor" not in text
        own = [field.name for field in dataclasses.fields(recipe.presets["quick"].game)]
        assert all(f"--game.{field}" in text for field in own)
        assert ("--game.payoffs" in text) == ("payoffs" in own)


# A small run of A2C in other games.

LESS = ("core", "seeds", "seed", "frozen", "start", "pool", "game")
TINY = [
    word
    for _, field, value in each(adjust(TINY_A2C, seeds=1, iterations=6))
    if field.name not in LESS
    for flag in [f"--{field.name.replace('_', '-')}"]
    for word in ([flag, str(value)] if not isinstance(value, bool) else [flag if value else f"--no-{flag[2:]}"])
]


def test_games_by_name_are_trained_and_written_down(tmp_path, capsys):
    out = tmp_path / "matrix"
    game = ["--game", "matrix", "--game.payoffs", *"012345678", "--game.rounds", 4, "--game.cooperation", 2]
    assert run("train", "a2c-mixed", *TINY, *game, "--out", out) == 0
    described = json.loads((out / "config.json").read_text())
    assert (described["recipe"], described["preset"]) == ("a2c-mixed", "quick")
    stored = described["settings"]["game"]
    assert stored == {"name": "matrix", "payoffs": [float(x) for x in range(9)], "rounds": 4, "cooperation": 2}
    assert set(json.loads((out / "evaluation.json").read_text())["phases"]["3"]) == {"learner", "tabular"}
    assert "| cooperation against the other learner, evaluated |" in (out / "summary.md").read_text()
    capsys.readouterr()
    assert run("train", "a2c-mixed", *TINY, "--game", "public-goods", "--out", tmp_path / "goods") == 2
    error = capsys.readouterr().err
    assert error == "coplayer: game: the mixed pool needs a game of two players, this one has 3\n"
    assert not (tmp_path / "goods").exists()


@pytest.fixture
def own_game(tmp_path, monkeypatch):
    """The file of a user's own game, which has a folder of its own, and a list of games of this test alone."""
    monkeypatch.setattr(names, "GAMES", dict(names.GAMES))
    (tmp_path / "games").mkdir()
    shutil.copy(Path(__file__).parent / "vault.py", tmp_path / "games" / "mine.py")
    return tmp_path / "games" / "mine.py"


def test_a_users_own_game_is_trained_from_its_file_resumed_and_evaluated(own_game, tmp_path, monkeypatch, capsys):
    """From another folder too; and never without the flag that names the file."""
    out, game = tmp_path / "run", ["--game", f"{own_game}:Vault", "--game.rounds", 3, "--game.growth", 0.5]
    assert run("train", "a2c-mixed", *TINY, *game, "--out", out) == 0
    text = (out / "summary.md").read_text()
    assert "saving, learner against learner" in text and "saving against tabular" in text
    assert "| saving of fresh tabular, evaluated |" in text and "cooperation" not in text
    stored = json.loads((out / "config.json").read_text())["settings"]["game"]
    assert stored == {"name": "mine.py:Vault", "growth": 0.5, "told": "symbol", "rounds": 3}
    for name in ("training", "within_episode"):
        assert (out / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    without = {name: game for name, game in names.GAMES.items() if name != "mine.py:Vault"}
    capsys.readouterr()
    monkeypatch.chdir(own_game.parent)
    for command in ("resume", "evaluate"):
        monkeypatch.setattr(names, "GAMES", dict(without))
        assert run(command, out) == 2
        error = capsys.readouterr().err
        assert "game: 'mine.py:Vault' is not one of ipd, matrix, public-goods" in error and "--game-file" in error
        assert run(command, out, "--game-file", "mine.py:Vault") == 0
    assert (out / "figures" / "evaluation.png").read_bytes().startswith(b"\x89PNG")
    assert run("evaluate", out, "--game-file", "mine.py:Nothing") == 2
    assert "has no class Nothing" in capsys.readouterr().err
    text = own_game.read_text()
    own_game.write_text(text + "# a comment changes nothing\n")
    assert run("evaluate", out, "--game-file", "mine.py:Vault") == 0
    own_game.write_text(text.replace("MOST = 4", "MOST = 5"))
    for command in ("resume", "evaluate"):
        capsys.readouterr()
        assert run(command, out, "--game-file", "mine.py:Vault") == 2
        error = capsys.readouterr().err
        assert "game: Vault and its file are not those that the run was trained on" in error and error.count("\n") == 1


def test_learners_who_see_vectors_meet_each_other_alone(own_game, tmp_path, capsys):
    flags = ["--game", f"{own_game}:Vault", "--game.told", "vector", "--out", tmp_path / "run"]
    assert run("train", "a2c-mixed", *TINY, *flags) == 2
    assert "pool: strangers need a game whose observations are symbols" in capsys.readouterr().err
    flags += ["--learner-share", 1, "--tabular-iterations", 0]
    assert run("train", "a2c-mixed", *TINY, *flags) == 0
    assert set(json.loads((tmp_path / "run" / "evaluation.json").read_text())["phases"]["3"]) == {"learner"}
    assert "| saving against the other learner, evaluated |" in (tmp_path / "run" / "summary.md").read_text()


def test_a_run_of_an_earlier_version_is_one_line(tmp_path, capsys):
    (tmp_path / "config.json").write_text('{"experiment": "ppi-mixed", "settings": {"rounds": 100}}')
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "phase_0001.npz").write_bytes(b"")
    for command in ("resume", "evaluate", "equilibrium"):
        assert run(command, tmp_path) == 2
        error = capsys.readouterr().err
        assert "made by an earlier version of coplayer (0.1)" in error and error.count("\n") == 1
