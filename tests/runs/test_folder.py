"""A run's folder: what is made, kept, and refused."""

import json

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.runs.folder import RunFolder, append_rows, keep_rows, provenance

CONFIG = {"experiment": "x", "settings": {}}


def test_a_process_killed_before_its_config_was_written_leaves_a_folder_that_can_be_used(tmp_path):
    for name in ("checkpoints", "agents"):
        (tmp_path / "run" / name).mkdir(parents=True)
    (tmp_path / "run" / ".config.json.partial").write_text('{"expe')
    config = {"experiment": "x", "settings": {}}
    assert RunFolder.create(tmp_path / "run", config).config() == config
    with pytest.raises(CoplayerError, match="exists already"):
        RunFolder.create(tmp_path / "run", {})


def test_a_line_that_is_no_row_is_named(tmp_path):
    folder = RunFolder.create(tmp_path / "run", CONFIG)
    folder.metrics_file.write_bytes(b'{"a": 1}\nnot a row\n{"a": 2}\n')
    with pytest.raises(CoplayerError, match=r"metrics.jsonl: line 2 is unreadable"):
        folder.metrics()


def test_a_row_cut_short_is_no_row(tmp_path):
    folder = RunFolder.create(tmp_path / "run", CONFIG)
    assert folder.metrics() == folder.timing() == []
    rows = [{"phase": 1, "seed": 0, "learner": learner} for learner in range(2)]
    append_rows(folder.metrics_file, rows)
    with open(folder.metrics_file, "a") as file:
        file.write('{"a"')
    assert folder.metrics() == rows
    keep_rows(folder.metrics_file, 1)
    assert folder.metrics_file.read_bytes() == b'{"phase": 1, "seed": 0, "learner": 0}\n'
    with pytest.raises(CoplayerError, match="has 1 rows, and the checkpoint was made after 2"):
        keep_rows(folder.metrics_file, 2)


def test_a_metric_over_training_is_a_mean_over_learners_and_rows(tmp_path):
    folder = RunFolder.create(tmp_path / "run", CONFIG)
    rows = [
        {"phase": phase, "iteration": 10 * phase + part, "seed": seed, "learner": learner, "reward": float(value)}
        for value, (phase, part, seed, learner) in enumerate(np.ndindex(2, 2, 2, 2))
    ]
    append_rows(folder.metrics_file, [*rows, {"phase": 9, "seed": 0, "learner": 0, "other": 1.0}])
    values = np.arange(16.0).reshape(2, 2, 2, 2)
    xs, found = folder.over_training("reward")
    np.testing.assert_array_equal(xs, [0, 1])
    np.testing.assert_array_equal(found, values.mean((1, 3)).T)
    xs, found = folder.over_training("reward", "iteration", learners=[1])
    np.testing.assert_array_equal(xs, [0, 1, 10, 11])
    np.testing.assert_array_equal(found, values[..., 1].reshape(4, 2).T)
    with pytest.raises(CoplayerError, match="has no nothing by phase, or no phase is done yet"):
        folder.over_training("nothing")
    with pytest.raises(CoplayerError, match="has no reward by update"):
        folder.over_training("reward", "update")
    with pytest.raises(CoplayerError, match=r"has no learners \[7\]"):
        folder.over_training("reward", learners=[7])


def test_phases_are_those_whose_agents_are_kept(tmp_path):
    folder = RunFolder.create(tmp_path / "run", CONFIG)
    assert folder.phases() == []
    for phase in (12, 3):
        folder.agents_file(phase).write_bytes(b"")
    (folder.agents / ".phase_0004.npz.partial").write_bytes(b"")
    assert folder.phases() == [3, 12]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"experiment": "x"}', '{"experiment": "x", "settings": []}'])
def test_a_config_that_is_none_is_one_line(text, tmp_path):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CoplayerError, match=r"unreadable|must be an object with the settings of a run") as error:
        RunFolder.open(tmp_path).config()
    assert "\n" not in str(error.value)


def test_no_folder_and_no_run_are_told_apart(tmp_path):
    with pytest.raises(CoplayerError, match="no such run folder"):
        RunFolder.open(tmp_path / "none")
    with pytest.raises(CoplayerError, match=r"not a run folder \(it has no config.json\)"):
        RunFolder.open(tmp_path)


def test_provenance_can_be_written_to_a_file():
    made = json.loads(json.dumps(provenance()))
    assert {"coplayer", "commit", "python", "packages", "device", "random_numbers"} == made.keys()
