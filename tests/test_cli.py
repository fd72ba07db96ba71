"""The command line as a user meets it: help, one-line errors, a run from start to figures."""

import json
import shutil

import numpy as np
import pytest

from coplayer import cli

FLAGS = (
    "--model round --rounds 6 --phases 2 --hidden 4 --tabular-episodes 32 --fresh-tabular --episodes 12 --warm-start "
    "--first-updates 3 --updates 2 --batch 16 --rollouts 2 --later-rollouts 0 --horizon 3 --expected-rewards "
    "--play-blocks 1"
).split()


def run(*arguments: object) -> int:
    return cli.main([str(argument) for argument in arguments])


@pytest.mark.parametrize(
    "command",
    [
        *([], ["train"], ["train", "ppi-mixed"], ["train", "a2c-step2"], ["train", "coala-ipd"]),
        *(["resume"], ["evaluate"], ["equilibrium"]),
    ],
)
def test_every_help_reads(command, capsys):
    with pytest.raises(SystemExit) as stop:
        run(*command, "--help")
    assert stop.value.code == 0
    assert "usage: coplayer" in capsys.readouterr().out


def test_nothing_asked_for_is_a_hint(capsys):
    with pytest.raises(SystemExit) as stop:
        run()
    assert stop.value.code == 2
    assert "Missing subcommand" in capsys.readouterr().err


def test_the_preset_sets_the_defaults_of_the_help(capsys):
    for preset, hidden in (("quick", 32), ("paper", 128)):
        with pytest.raises(SystemExit):
            run("train", "ppi-mixed", "--preset", preset, "--help")
        text = " ".join(capsys.readouterr().out.replace("│", " ").split())
        assert f"Width of the recurrent state. (default: {hidden})" in text


def test_train_evaluate_and_resume(tmp_path, capsys):
    out = tmp_path / "run"
    assert run("train", "ppi-mixed", *FLAGS, "--seeds", 2, "--out", out) == 0
    printed = capsys.readouterr().out
    assert "phase 2" in printed and "cooperation vs learner" in printed and "imagined" not in printed.split("phase")[0]
    assert f"figure: {out}/figures/training.png" in printed and f"table: {out}/summary.md" in printed
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
    described["settings"]["learner_share"] = 1.5
    (out / "config.json").write_text(json.dumps(described))
    for command in ("resume", "evaluate"):
        assert run(command, out) == 2
        assert capsys.readouterr().err == "coplayer: learner_share: must be at most 1, got 1.5\n"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--hidden", "0"], "hidden: must be a finite number above 0, got 0"),
        (["--learning-rate", "nan"], "learning_rate: must be a finite number above 0, got nan"),
        (["--weight-decay", "-1"], "weight_decay: must be a finite number of at least 0, got -1.0"),
        (["--beta1", "1"], "beta1: must be below 1, got 1.0"),
        (["--learner-share", "1.5"], "learner_share: must be at most 1, got 1.5"),
        (["--learning-rate-end", "2"], "learning_rate_end: must lie in [0, 1], got 2.0"),
        (["--payoffs", "1", "2", "3"], "payoffs: needs n * n numbers, or 2 * n * n, for n >= 2 actions; got 3"),
        (["--payoffs", "1", "2", "3", "inf"], "payoffs: every entry must be finite"),
        (["--pool", "tit_for_two_tats"], "pool: 'tit_for_two_tats' is not uniform, always_cooperate"),
        (["--pool", "0.5,0.5,1.5,0,0"], "every entry must lie in [0, 1], got -0.5 to 1.5"),
        (["--pool", "0.5,0.5"], "the last axis must have 5 entries"),
        (["--model", "token"], "expected_rewards: needs --model round"),
        (["--episodes", "11"], "episodes: 11 in play_blocks = 1 blocks with learner_share = 0.5"),
        (["--tabular-episodes", "8"], "tabular_episodes: must be at least one batch, 16, got 8"),
        (["--seed", "2147483647", "--seeds", "2"], "seed: must be at most 2147483646 with 2 seed(s), got 2147483647"),
        (["--hidden", "100000000"], "GB are free: lower --seeds"),
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
