"""What the page on runs is given: from folders whose numbers are known, of every recipe, whole, unfinished, damaged."""

import gzip
import json
import re
import shlex
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

import made_up
from coplayer import cli
from coplayer.analysis.statistics import interval
from coplayer.errors import CoplayerError
from coplayer.experiments import registry
from coplayer.experiments.evaluate import stored_results
from coplayer.figures.panels import Band, BandPanel, numbers
from coplayer.figures.parity import table
from coplayer.games.matrix import MatrixGame
from coplayer.reproduce import report
from coplayer.reproduce.run_page import described, short_names, write_report
from coplayer.runs.folder import RunFolder, append_rows
from coplayer.settings import adjust

HOSTILE = "</script><img src=x onerror=\"document.body.dataset.harm='yes'\"> {{data}} \u2028"
RESULTS = Path(__file__).parents[2] / "results"


def data_of(page: Path) -> dict:
    return json.loads(re.search(r'type="application/json"[^>]*>(.*?)</script>', page.read_text(), re.DOTALL)[1])


def curve_of(about, quantity, label):
    [found] = [each for each in about["training"]["curves"] if (each["quantity"], each["label"]) == (quantity, label)]
    return found


@pytest.mark.parametrize("recipe", registry.RECIPES)
def test_a_run_of_every_recipe_tells_what_was_trained_and_how_to_train_it_again(recipe, tmp_path):
    run = made_up.run(tmp_path / "run", recipe)
    about = described(run.path, "run")
    trained, settings = about["trained"], registry.settings_of_folder(run)[1]
    assert trained["recipe"] == recipe and trained["source"] == registry.RECIPES[recipe].source
    assert about["state"] == {
        **{"done": 4, "phases": 4, "archived": False, "seconds": 12.0},
        "by_phase": [[1, 3], [2, 3], [3, 3], [4, 3]],
    }
    job = cli.parse(shlex.split(trained["command"])[1:], Console())
    frozen_or_start = (
        {key: getattr(settings.co_players, key) for key in ("frozen", "start")} if "step" in recipe else {}
    )
    assert adjust(job.args[1], **frozen_or_start) == settings
    rewards = [curve for curve in about["training"]["curves"] if curve["quantity"] == "reward"]
    assert rewards[0]["values"][1][-1] == 410.5


def test_curves_are_means_of_learners_by_seed_with_the_interval_of_the_tables(tmp_path):
    about = described(made_up.run(tmp_path / "run", seed=7).path, "run")
    curve = curve_of(about, "cooperation", "learner against learner")
    assert about["training"]["x"] == "iteration" and curve["x"] == [10, 20, 30, 40, 50, 60, 70, 80]
    assert curve["values"][2][:3] == [0.1905, 0.1905, 0.2905]
    low, high = interval(np.array([0.4705, 0.4805, 0.4905]))
    assert (curve["low"][-1], curve["high"][-1]) == pytest.approx((low, high), abs=5e-5)


def test_the_most_important_metrics_come_first(tmp_path):
    more = {"late_cooperation_vs_learner": 0.5, "p_cc": 0.5, "p_start": 0.5, "my own": 1.0}
    curves = described(made_up.run(tmp_path / "run", "exact-ipd", more=more).path, "run")["training"]["curves"]
    assert [(curve["quantity"], curve["label"]) for curve in curves] == [
        ("cooperation", "learner against learner"),
        ("reward", "learner against learner"),
        ("reward", "against naive learners"),
        ("reward", "of the naive learners"),
        ("late_cooperation", "learner against learner"),
        ("P(cooperate)", "first"),
        ("P(cooperate)", "after CC"),
        ("loss_value", ""),
        ("my own", ""),
    ]


def test_learners_of_several_methods_have_curves_of_their_own(tmp_path):
    run = made_up.run(tmp_path / "run", "coala-ipd", methods=("coala", "m_fos"), meta_agents=2)
    about = described(run.path, "run")
    labels = [curve["label"] for curve in about["training"]["curves"] if curve["quantity"] == "cooperation"]
    assert labels == ["COALA-PG: learner against learner", "M-FOS: learner against learner"]
    assert curve_of(about, "reward", "M-FOS: against naive learners")["values"][0][0] == 101
    assert curve_of(about, "loss_value", "COALA-PG")["values"][0][0] == -100


def test_published_points_stand_beside_runs_of_the_papers_game_alone(tmp_path):
    same = described(made_up.run(tmp_path / "same", "ppi-mixed").path, "same")
    x, y = curve_of(same, "cooperation", "learner against learner")["published"]
    assert len(x) == len(y) > 5 and max(y) > 0.8
    other = described(
        made_up.run(tmp_path / "other", "ppi-mixed", game=MatrixGame((4.0, 0.0, 3.0, 2.0), 10)).path, "other"
    )
    assert "published" not in curve_of(other, "cooperation", "learner against learner")


def test_the_evaluated_agents_by_round_over_phases_and_their_signatures(tmp_path):
    run = made_up.run(tmp_path / "run", phases=8, evaluated=range(1, 9), game=registry.preset("a2c-mixed").game)
    about = described(run.path, "run")
    by_round = [each for each in about["played"] if each["phase"] is not None and each["label"] == "tit for tat"]
    assert {(each["quantity"], each["phase"]) for each in by_round} == {
        (quantity, phase) for quantity in ("cooperation", "reward") for phase in (1, 4, 8)
    }
    last = next(each for each in by_round if each["phase"] == 8)
    assert last["x"][0] == 1 and last["values"][1][0] == 0.09
    over = next(each for each in about["played"] if each["phase"] is None)
    assert (over["quantity"], over["label"], over["x"]) == ("cooperation", "the other learner", list(range(1, 9)))
    rates = about["signatures"]["phases"][8]["tit_for_tat"]
    assert len(rates) == 6 and rates[0] == [1, 1, 0, None, 0.5, 1, 0, None, 0.5, 0, None]
    assert about["signatures"]["agents"][-1] == "seed 2, learner 1" and about["signatures"]["pairs"][1] == "CD"
    assert list(about["signatures"]["phases"][8])[:3] == ["learner", "tabular", "tit_for_tat"]


def test_the_table_is_that_of_the_summary(tmp_path):
    run = made_up.run(tmp_path / "run", "ppi-mixed", evaluated=[4])
    about = described(run.path, "run")
    experiment, settings = registry.settings_of_folder(run)
    rows = report.quantities(run, experiment.panel(settings), settings.game, stored_results(run)[4])
    lines = table(rows).splitlines()[2:]
    assert [f"| {' | '.join(row)} |" for row in about["table"]["rows"]] == lines and len(lines) > 5


def test_curves_by_inner_episode_are_those_of_the_figures_numbers(tmp_path):
    run = made_up.run(tmp_path / "run", "coin-shaping")
    values = np.array([[0.5, 1.25, 2.0], [0.25, 1.5, 3.0]])
    bands = [Band("COALA-PG", np.arange(1, 4), values), Band("naive learners, COALA-PG", np.arange(1, 4), -values)]
    (run.figures / "within_meta_trajectory.csv").write_text(numbers([BandPanel("", "", "reward per round", bands)]))
    own, naive = described(run.path, "run")["inner"]
    assert (own["quantity"], own["label"], naive["label"]) == ("reward", "COALA-PG", "naive learners, COALA-PG")
    assert own["x"] == [1, 2, 3] and own["values"] == values.tolist() and naive["values"] == (-values).tolist()


def test_settings_in_groups_tell_what_differs_from_the_preset(tmp_path):
    groups = described(made_up.run(tmp_path / "run", hidden=9).path, "run")["settings"]
    rows = {row[0]: row for group in groups for row in group["rows"]}
    quick = registry.preset("a2c-mixed")
    assert rows["hidden"][1:3] == ["9", str(quick.network.hidden)] and "Width" in rows["hidden"][3]
    assert rows["core"][1:3] == ["gru", None] and rows["game"][1] == "ipd"
    assert [group["title"] for group in groups][:3] == ["Game", "Co-players", "Run"]


def test_an_unfinished_run_and_one_that_has_only_begun(tmp_path):
    half = described(made_up.run(tmp_path / "half", done=2).path, "half")
    assert (half["state"]["done"], half["state"]["phases"]) == (2, 4) and half["played"] == []
    begun = made_up.run(tmp_path / "begun", done=0)
    assert described(begun.path, "begun")["training"]["curves"] == []
    append_rows(begun.metrics_file, [{"phase": 1, "iteration": 10, "seed": s, "learner": 0, "x": 1.0} for s in (0, 1)])
    append_rows(begun.metrics_file, [{"phase": 1, "iteration": 20, "seed": 0, "learner": 0, "x": 1.0}])  # then killed
    [curve] = described(begun.path, "begun")["training"]["curves"]
    assert curve["values"] == [[1, 1], [1, None]] and curve["low"] == [1, None]
    write_report([begun.path], tmp_path / "begun.html")


def test_an_archive_without_its_agents_is_as_far_as_its_metrics(tmp_path):
    run = made_up.run(tmp_path / "run")
    run.archived_metrics.write_bytes(gzip.compress(run.metrics_file.read_bytes()))
    run.metrics_file.unlink()
    shutil.rmtree(run.agents)
    state = described(run.path, "run")["state"]
    assert (state["done"], state["archived"]) == (4, True)


@pytest.mark.skipif(not RESULTS.is_dir(), reason="the source archive has no results")
def test_archived_runs_of_the_results_stand_side_by_side(tmp_path):
    runs = sorted((RESULTS / "coin-game" / "runs").iterdir())
    page = write_report(runs, tmp_path / "report.html")
    data = data_of(page)
    assert [run["name"] for run in data["runs"]] == [run.name for run in runs] and len(runs) == 3
    assert all(run["state"]["done"] == run["state"]["phases"] for run in data["runs"])


def test_a_page_is_written_quickly_and_stays_small(tmp_path):
    run = made_up.run(tmp_path / "run", phases=20, per_phase=25, seeds=5, evaluated=range(1, 21))
    begin = time.monotonic()
    page = write_report([run.path], tmp_path / "report.html")
    assert time.monotonic() - begin < 10 and page.stat().st_size < 1e6  # seconds with run-time checks


def test_long_curves_are_thinned_by_means_and_say_so(tmp_path):
    run = made_up.run(tmp_path / "run", phases=1, done=0)
    rows = [{"phase": 1, "iteration": i, "seed": 0, "learner": 0, "mine": float(i)} for i in range(1, 1001)]
    append_rows(run.metrics_file, rows)
    [curve] = described(run.path, "run")["training"]["curves"]
    assert curve["every"] == 5 and curve["x"][:2] == [5, 10] and curve["values"][0][:2] == [3, 8]
    assert len(curve["x"]) == 200 and curve["low"] == [None] * 200  # one seed has no interval


def test_hostile_texts_are_data_and_nothing_else(tmp_path):
    run = made_up.run(tmp_path / "run", more={HOSTILE: 1.0})
    deep = json.loads("[" * 900 + "]" * 900)
    config = run.config() | {
        "device": HOSTILE,
        "commit": ["x" * 999, {"a": HOSTILE}],
        "python": deep,
        "preset": {"x": 1},
        "joined": 3,
    }
    run.config_file.write_text(json.dumps(config))
    page = write_report([run.path], tmp_path / "report.html")
    text = page.read_text()
    assert text.count("<script") == text.count("</script>") == 4 and "<img" not in text
    [about] = data_of(page)["runs"]
    assert HOSTILE in {curve["quantity"] for curve in about["training"]["curves"]}
    made = dict(about["made"])
    assert made["device"] == HOSTILE and len(made["commit"]) == 200 and made["Python"] == "…"
    assert str(tmp_path) not in text  # no path of the machine


DAMAGES = {
    "metrics.jsonl": [
        (b'{"phase": 1, "seed": 0, "learner": 0, "x": 1e400}\n', "line 1 has a number that is not finite"),
        (
            b'{"phase": 1, "seed": 0, "learner": 0, "x": 1' + b"0" * 400 + b"}\n",
            "line 1 has a number that is not finite",
        ),
        (b'{"phase": 1, "seed": 0, "learner": 0, "x": "<b>"}\n', "line 1 must be an object of numbers"),
        (b"[[[[\n", "line 1 is unreadable"),
    ],
    "timing.jsonl": [(b'{"step": 1, "seconds": 1e999}\n', "line 1 has a number that is not finite")],
    "config.json": [(b"{}", "must be an object with the settings of a run")],
    "evaluation.json": [
        (b"[]", "unreadable"),
        (b'{"phases": {"x": {}}}', "unreadable"),
        (b'{"phases": {"4": {"learner": {"reward": [[1], [1, 2]]}}}}', "unreadable"),
        (b'{"phases": {"4": {"learner": {"reward": [[[1]]]}}}}', "lacks what is measured of every seed"),
        (b'{"phases": {"4": {"learner": 3}}}', "unreadable"),
    ],
    "figures/within_meta_trajectory.csv": [
        (b"a,b\n1,2\n", "unreadable"),
        (b"panel,y,curve,x,repetition 1\n,reward,me,1,nothing\n", "unreadable"),
        (b"panel,y,curve,x,repetition 1\n\xff\n", "unreadable"),
    ],
}


@pytest.mark.parametrize(("file", "content", "says"), [(f, *each) for f, found in DAMAGES.items() for each in found])
def test_a_damaged_file_is_one_clear_line(file, content, says, tmp_path, capsys):
    run = made_up.run(tmp_path / "run")
    (run.path / file).write_bytes(content)
    assert cli.main(["report", str(run.path), "--out", str(tmp_path / "report.html")]) == 2
    error = capsys.readouterr().err
    assert says in error and file in error and error.count("\n") == 1
    assert not (tmp_path / "report.html").exists()


def test_an_evaluation_that_lacks_an_opponent_of_the_table_is_told(tmp_path):
    run = made_up.run(tmp_path / "run", evaluated=[4])
    file = run.path / "evaluation.json"
    stored = json.loads(file.read_text())
    del stored["phases"]["4"]["always_defect"]
    file.write_text(json.dumps(stored))
    with pytest.raises(CoplayerError, match=r"evaluation\.json: lacks 'always_defect'; 'coplayer evaluate' writes it"):
        write_report([run.path], tmp_path / "report.html")


def test_numbers_whose_sums_are_too_large_and_settings_beyond_their_limits(tmp_path):
    run = made_up.run(tmp_path / "run", more={"huge": 1.7e308})
    append_rows(run.timing_file, [{"step": 9, "seconds": 1.7e308, "phase": 1}] * 2)
    [about] = data_of(write_report([run.path], tmp_path / "report.html"))["runs"]
    assert about["state"]["seconds"] is None
    assert curve_of(about, "huge", "")["values"][0][0] is None
    shaped = made_up.run(tmp_path / "shaped", "coala-ipd")
    stored = shaped.config()
    stored["settings"]["shaping"]["methods"] = ["coala", "guess"]
    shaped.config_file.write_text(json.dumps(stored))
    with pytest.raises(CoplayerError, match=r"^methods: must be of coala"):
        described(shaped.path, "shaped")


def test_only_an_earlier_report_is_replaced(tmp_path, capsys):
    run, out = made_up.run(tmp_path / "run"), tmp_path / "report.html"
    for _ in range(2):
        assert cli.main(["report", str(run.path), "--out", str(out)]) == 0
    assert f"report: {out}" in capsys.readouterr().out
    out.write_text("<p>mine</p>")
    assert cli.main(["report", str(run.path), "--out", str(out)]) == 2
    assert "exists already and is no report; name another file" in capsys.readouterr().err
    assert out.read_text() == "<p>mine</p>"
    for runs, says in (
        ([run.path] * 2, "is named twice"),
        ([], "needs the folder"),
        ([tmp_path / "no"], "no such run"),
    ):
        with pytest.raises(CoplayerError, match=says):
            write_report(runs, tmp_path / "new.html")


def test_runs_are_named_by_as_few_words_as_tell_them_apart():
    paths = [Path("/a/one/run"), Path("/a/two/run"), Path("/b/two/other")]
    assert short_names(paths) == ["one/run", "two/run", "two/other"]
    assert short_names([Path("/a/run"), Path("/a/other")]) == ["run", "other"]


def test_a_folder_that_is_reported_is_only_read(tmp_path):
    run = made_up.run(tmp_path / "run", evaluated=[4])
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    write_report([run.path], tmp_path / "report.html")
    assert before == {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    assert isinstance(RunFolder.open(run.path).metrics(), list)
