"""Archives of finished runs: what is kept of a run, that it reads as the run does, and what is refused."""

import numpy as np
import pytest

from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.archive import archive
from coplayer.runs import checkpoint
from coplayer.settings import adjust
from stopping import StopAfter
from tiny import PLAIN_EXACT, TINY_A2C


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return registry.train(TINY_A2C, tmp_path_factory.mktemp("runs") / "run", recipe="a2c-step1")


def test_an_archive_reads_as_its_run_and_is_smaller(run, tmp_path):
    made = archive(run.path, tmp_path / "archive")
    assert made.archived and not run.archived
    kept, whole = made.metrics(), run.metrics()
    assert len(kept) == len(whole) > 0 and kept != whole
    for row, full in zip(kept, whole, strict=True):
        assert row == pytest.approx(full, rel=5e-6, abs=0)
        assert all(float(f"{value:.6g}") == value for value in row.values())
    assert made.config()["recipe"] == "a2c-step1"
    assert made.config() == run.config() and registry.settings_of_folder(made) == registry.settings_of_folder(run)
    assert made.phases() == run.phases()[-1:]
    for (_, kept), (_, whole) in [(checkpoint.load(folder.agents_file(3)) for folder in (made, run))]:
        assert kept.keys() == whole.keys()
        for name in kept:
            np.testing.assert_array_equal(kept[name], whole[name])
    assert {file.name for file in made.path.rglob("*") if file.is_file()} == {
        "config.json",
        "metrics.jsonl.gz",
        "phase_0003.npz",
    }


def test_all_phases_may_be_kept(run, tmp_path):
    assert archive(run.path, tmp_path / "archive", all_phases=True).phases() == run.phases() == [1, 2, 3]


def test_an_archive_is_finished_and_stays_as_it_is(run, tmp_path):
    made = archive(run.path, tmp_path / "archive")
    before = {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    assert registry.resume(made.path).path == made.path
    assert before == {path: path.stat().st_mtime_ns for path in made.path.rglob("*")}
    assert archive(made.path, tmp_path / "again").archived_metrics.read_bytes() == made.archived_metrics.read_bytes()


def test_the_bytes_of_an_archive_depend_on_the_run_alone(run, tmp_path):
    one, two = (archive(run.path, tmp_path / name) for name in ("one", "two"))
    assert one.archived_metrics.read_bytes() == two.archived_metrics.read_bytes()


def test_what_is_refused(run, tmp_path):
    with pytest.raises(CoplayerError, match="exists already"):
        archive(run.path, run.path)
    stopped = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        registry.train(adjust(PLAIN_EXACT, phases=2, iterations=8), stopped, reporter=StopAfter(1))
    with pytest.raises(CoplayerError, match="not finished; go on with it by 'coplayer resume"):
        archive(stopped, tmp_path / "archive")
    assert not (tmp_path / "archive").exists()
    made = archive(run.path, tmp_path / "cut")
    made.archived_metrics.write_bytes(made.archived_metrics.read_bytes()[:-9])
    with pytest.raises(CoplayerError, match=r"metrics.jsonl.gz: unreadable or cut short"):
        made.metrics()
