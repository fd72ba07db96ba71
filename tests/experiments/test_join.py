"""Runs of single seeds, put together, against one run of all of them."""

import gzip
import json

import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.archive import archive
from coplayer.experiments.join import join
from coplayer.settings import adjust
from stopping import StopAfter, assert_same, outcome
from tiny import PLAIN_EXACT, TINY, TINY_A2C, TINY_COALA

CONFIGS = [  # each of two learners, who have a device each
    pytest.param(TINY, id="ppi", marks=pytest.mark.long),
    pytest.param(TINY_A2C, id="a2c"),
]


def apart(config, out, seeds):
    """One run each of these (first seed, number of seeds)."""
    runs = [adjust(config, seed=seed, seeds=count, seed_batch=1) for seed, count in seeds]
    for i, run in enumerate(runs):
        registry.train(run, out / f"part-{i}", recipe=registry.experiment_of(run).NAME, preset="quick")
    return [out / f"part-{i}" for i in range(len(runs))]


@pytest.mark.usefixtures("usual_kernels")
@pytest.mark.parametrize("config", CONFIGS)
def test_joined_runs_are_the_run_of_all_their_seeds(config, tmp_path):
    parts = apart(config, tmp_path, [(9, 1), (7, 2)])  # in any order
    joint = join(parts, tmp_path / "joint")
    whole = registry.train(adjust(config, seed=7, seeds=3, seed_batch=1), tmp_path / "whole")
    assert_same(joint.path, whole.path)
    assert registry.settings_of_folder(joint) == registry.settings_of_folder(whole)
    own = {name: joint.config()[name] for name in ("recipe", "preset")}
    assert own == {"recipe": registry.experiment_of(config).NAME, "preset": "quick"}
    seconds = sum(row["seconds"] for part in parts for row in registry.RunFolder.open(part).timing())
    assert sum(row["seconds"] for row in joint.timing()) == pytest.approx(seconds)
    made = joint.config()["joined"]
    assert [part["seeds"] for part in made] == [[7, 8], [9]] and made[0]["packages"]["jax"]
    before = {path: path.stat().st_mtime_ns for path in joint.path.rglob("*.npz")}
    registry.resume(joint.path)  # finished: nothing to do
    assert before == {path: path.stat().st_mtime_ns for path in joint.path.rglob("*.npz")}


@pytest.mark.long
def test_with_more_learners_than_devices_joined_runs_are_that_run_up_to_rounding(tmp_path):
    config = adjust(TINY_COALA, meta_agents=4, methods=("coala",), iterations=2, phases=1, seed_batch=1)
    joint = join(apart(config, tmp_path, [(0, 1), (1, 1)]), tmp_path / "joint")
    whole = registry.train(config, tmp_path / "whole")
    for row, other in zip(joint.metrics(), whole.metrics(), strict=True):
        assert row == pytest.approx(other, rel=1e-5, abs=1e-5)
    (_, arrays), (_, others) = outcome(joint.path), outcome(whole.path)
    assert arrays.keys() == others.keys()
    for name, array in arrays.items():
        np.testing.assert_allclose(array, others[name], rtol=1e-5, atol=1e-5, err_msg=str(name))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    return apart(TINY_A2C, tmp_path_factory.mktemp("parts"), [(1, 1), (2, 1), (4, 1)])


def test_an_archive_and_a_run_are_joined_to_an_archive(parts, tmp_path):
    one, two, _ = parts
    whole = archive(join([one, two], tmp_path / "whole").path, tmp_path / "archive")
    joint = join([archive(one, tmp_path / "one").path, two], tmp_path / "joint")
    assert joint.archived and joint.metrics() == whole.metrics() and joint.phases() == whole.phases()
    assert [file.read_bytes() for file in joint.agents.iterdir()] == [
        file.read_bytes() for file in whole.agents.iterdir()
    ]
    cut = archive(one, tmp_path / "cut")
    cut.archived_metrics.write_bytes(gzip.compress(one.joinpath("metrics.jsonl").read_bytes().split(b"\n", 1)[1]))
    with pytest.raises(CoplayerError, match="rows of metrics, for 2 learners and seeds"):
        join([cut.path, two], tmp_path / "refused")
    assert not (tmp_path / "refused").exists()


@pytest.mark.long
@pytest.mark.usefixtures("usual_kernels")
def test_what_a_later_run_builds_on_may_be_joined(tmp_path):
    alone = adjust(TINY_A2C, learner_share=0.0)
    first = join(apart(alone, tmp_path, [(0, 1), (1, 1)]), tmp_path / "one")
    later = apart(adjust(alone, frozen=first.path), tmp_path / "two", [(0, 1), (1, 1)])
    joint = join(later, tmp_path / "joint")
    whole = registry.train(adjust(alone, frozen=first.path, seed=0, seeds=2), tmp_path / "whole")
    assert_same(joint.path, whole.path)


def test_what_does_not_belong_together_is_refused_in_one_line(parts, tmp_path):
    def refused(folders, message):
        with pytest.raises(CoplayerError, match=message) as error:
            join(folders, tmp_path / "joint")
        assert "\n" not in str(error.value) and not (tmp_path / "joint").exists()

    other = registry.train(adjust(TINY_A2C, seed=3, seeds=1, learning_rate=0.1), tmp_path / "other").path
    ppi = registry.train(adjust(TINY, seed=3, phases=1), tmp_path / "ppi").path
    exact = registry.train(PLAIN_EXACT, tmp_path / "exact").path
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        registry.train(adjust(TINY_A2C, seed=3, seeds=1), stopped, reporter=StopAfter(2))
    one, two, four = parts
    refused([], "two runs or more")
    refused([one], "two runs or more")
    refused([one, one], "begins at 1")
    refused([two, four], "begins at 4")
    refused([two, other], "learning_rate: differs")
    refused([two, ppi], "is of ppi-mixed")
    refused([exact, exact], "side by side")
    refused([two, stopped], "not finished; go on with it by 'coplayer resume")
    three = registry.train(adjust(TINY_A2C, seed=3, seeds=1), tmp_path / "three")
    rows = three.metrics_file.read_bytes().splitlines(keepends=True)
    three.metrics_file.write_bytes(b"".join(rows[1:]))
    refused([two, three.path], f"has {len(rows) - 1} of the run's {len(rows)} rows")
    three.metrics_file.write_bytes(b"".join(rows))
    three.agents_file(1).unlink()
    refused([two, three.path], "unreadable or cut short")
    for file in three.checkpoints.iterdir():
        file.unlink()
    refused([two, three.path], "has no checkpoint")


def test_the_command_joins_evaluates_and_touches_no_folder_that_is_there(parts, tmp_path, capsys):
    folders, out = [str(part) for part in parts[:2]], str(tmp_path / "joint")
    assert cli.main(["join", *folders, "--out", out]) == 0
    assert "trained in" in capsys.readouterr().out and (tmp_path / "joint" / "summary.md").exists()
    assert json.loads((tmp_path / "joint" / "config.json").read_text())["settings"]["run"]["seeds"] == 2
    assert cli.main(["join", *folders, "--out", out]) == 2
    assert "exists already" in capsys.readouterr().err
