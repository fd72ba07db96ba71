"""Published figures from runs that are used again, resumed, or refused; the exact ones, which are quick."""

import json
import shutil

import numpy as np
import pytest

from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments.archive import archive
from coplayer.figures.parity import Quantity, table
from coplayer.reproduce import meulemans_exact, reproduce
from coplayer.settings import adjust
from stopping import StopAfter

pytestmark = pytest.mark.usefixtures("compiled_once")


def small(runs):
    """The runs of a figure, small in every way."""

    def make(preset):
        sizes = {"iterations": 8, "log_every": 2, "phases": 4, "inner_episodes": 2, "naive_learners": 3, "seeds": 3}
        return {name: adjust(settings, **sizes) for name, settings in runs(preset).items()}

    return make


@pytest.fixture
def tiny_studies(monkeypatch):
    monkeypatch.setattr(meulemans_exact, "LOOKAHEADS", {1: (10.0, 1.0), 20: (5.0, 0.4)})
    for name, study in meulemans_exact.STUDIES.items():
        monkeypatch.setitem(reproduce.STUDIES, name, study._replace(runs=small(study.runs)))


LONG = {"meulemans-fig3", "meulemans-fig4"}  # test_meulemans_exact draws these too


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] * (name in LONG)) for name in meulemans_exact.STUDIES]
)
def test_every_figure_is_drawn_and_has_its_table(name, tiny_studies, tmp_path):
    made = reproduce.reproduce(name, tmp_path, seeds=2, seed=5)
    assert made.figure.read_bytes().startswith(b"\x89PNG")
    assert made.table.read_text() == made.text and made.text.count("\n") > 4
    assert "nan" not in made.text
    page = made.report.read_text()
    assert made.report.parent == made.figure.parent and len(page) < 4e6
    assert all(run.name in page for run in (tmp_path / "runs").iterdir())
    described = json.loads((tmp_path / name / "made.json").read_text())
    assert described["seed"] == 5 and set(described["seeds"].values()) == {2} and "commit" in described


def test_finished_runs_are_used_again_and_other_settings_refused(tiny_studies, tmp_path, monkeypatch):
    reproduce.reproduce("meulemans-fig9", tmp_path)
    (run,) = (tmp_path / "runs").iterdir()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*.npz")}
    reproduce.reproduce("meulemans-fig9", tmp_path)
    assert before == {path: path.stat().st_mtime_ns for path in run.rglob("*.npz")}

    changed = {
        name: adjust(settings, gamma=0.5)
        for name, settings in reproduce.STUDIES["meulemans-fig9"].runs("quick").items()
    }
    study = reproduce.STUDIES["meulemans-fig9"]._replace(runs=lambda preset: changed)
    monkeypatch.setitem(reproduce.STUDIES, "meulemans-fig9", study)
    with pytest.raises(CoplayerError, match="holds a run with other settings"):
        reproduce.reproduce("meulemans-fig9", tmp_path)


def test_a_broken_run_is_resumed(tiny_studies, tmp_path):
    whole = reproduce.reproduce("meulemans-fig9", tmp_path / "whole")

    with pytest.raises(KeyboardInterrupt):
        reproduce.reproduce("meulemans-fig9", tmp_path / "broken", reporter=lambda run: StopAfter(1))
    assert reproduce.reproduce("meulemans-fig9", tmp_path / "broken").text == whole.text


def test_from_the_command_line(tiny_studies, tmp_path, capsys):
    assert cli.main(["reproduce", "list"]) == 0
    listed = capsys.readouterr().out
    assert "minutes" in listed
    for name, study in reproduce.STUDIES.items():
        assert {name, *study.parts} <= set(listed.split())  # never cut
    assert cli.main(["reproduce", "meulemans-fig9", "--out", str(tmp_path), "--seeds", "2"]) == 0
    printed = capsys.readouterr().out
    assert f"figure: {tmp_path / 'meulemans-fig9' / 'figure.png'}" in printed
    assert f"report: {tmp_path / 'meulemans-fig9' / 'report.html'}" in printed
    assert cli.main(["reproduce", "fig99"]) == 2
    assert "figure: must be one of weis-fig1" in capsys.readouterr().err


@pytest.mark.long
def test_an_exact_run_from_the_command_line_draws_its_policies(tmp_path, capsys):
    flags = "--iterations 8 --log-every 2 --phases 4 --inner-episodes 2 --naive-learners 3 --seeds 2 --game.rounds 5"
    assert cli.main(["train", "exact-ipd", *flags.split(), "--out", str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "figures" / "policy.png").read_bytes().startswith(b"\x89PNG")
    flags += " --game matrix --game.payoffs 4 0 3 2"  # a stag hunt has no extortion family
    assert cli.main(["train", "exact-ipd", *flags.split(), "--out", str(tmp_path / "hunt")]) == 0
    assert (tmp_path / "hunt" / "figures" / "policy.png").read_bytes().startswith(b"\x89PNG")


def test_tables_tell_both_bounds_and_shorten_many_seeds():
    few = table([Quantity("a", None, np.array([0.1, 0.3]), at_most=0.2), Quantity("b", 1.0, np.array([0.5, 0.7]))])
    assert "| at most 0.2 in 1 of 2 |" in few and "| 0.10 0.30 |" in few and "| -0.40 |" in few
    many = table([Quantity("a", None, np.arange(11.0), at_least=3)])
    assert "quartiles 2.50 5.00 7.50 of 11" in many and "at least 3 in 8 of 11" in many


def archived(name, tmp_path, **how):
    """A figure whose runs are archives, made from trained ones."""
    reproduce.reproduce(name, tmp_path / "trained", **how)
    for run in (tmp_path / "trained" / "runs").iterdir():
        archive(run, tmp_path / "kept" / "runs" / run.name)
    shutil.copytree(tmp_path / "trained" / name, tmp_path / "kept" / name)
    return tmp_path / "kept" / name


@pytest.mark.parametrize("how", [{}, {"seeds": 2, "seed": 7}])
def test_a_figure_is_drawn_anew_from_archives_to_the_same_bytes(how, tiny_studies, tmp_path):
    path = archived("meulemans-fig8", tmp_path, **how)

    def written():
        return {file.name: file.read_bytes() for file in path.iterdir() if file.suffix != ".svg"}  # which has a date

    before = written()
    assert reproduce.recompute(path) == reproduce.Recomputed(path / "table.md", True)
    assert written() == before and {"figure.png", "table.md", "made.json"} <= set(before)


def test_a_table_that_says_something_else_is_told(tiny_studies, tmp_path, capsys):
    path = archived("meulemans-fig8", tmp_path)
    assert cli.main(["recompute", str(tmp_path / "kept"), "--no-compilation-cache"]) == 0
    assert "table.md: same" in capsys.readouterr().out
    right = (path / "table.md").read_text()
    (path / "table.md").write_text(right.replace("0.", "1.", 1))
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    for _ in range(2):  # also when it is asked again
        assert cli.main(["recompute", str(path), "--no-compilation-cache"]) == 2
        told = capsys.readouterr()
        assert "table.new.md: CHANGED" in told.out and "not the numbers that were there" in told.err
    assert (path / "table.new.md").read_text() == right
    assert {file.name: file.read_bytes() for file in path.iterdir() if file.name != "table.new.md"} == before


def test_nothing_is_trained_to_draw_anew(tiny_studies, tmp_path):
    path = archived("meulemans-fig8", tmp_path)
    for run in (path.parent / "runs").iterdir():
        shutil.rmtree(run)
    with pytest.raises(CoplayerError, match="no such run folder"):
        reproduce.recompute(path)
    (path / "made.json").write_text("[]")
    with pytest.raises(CoplayerError, match="holds no figure that 'coplayer reproduce' made"):
        reproduce.recompute(path)
    assert cli.main(["recompute", str(tmp_path / "nothing")]) == 2
