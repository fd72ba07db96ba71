"""Sweeps: the grid, what is refused, what is gone on with, and jobs that are lost on every engine."""

import csv
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

import coplayer as cp
from coplayer import cli
from coplayer.errors import CoplayerError
from coplayer.experiments import registry, swept
from coplayer.experiments import sweep as module
from coplayer.experiments.join import join
from coplayer.experiments.sweep import plan, sweep
from coplayer.games.matrix import prisoners_dilemma
from coplayer.runs.board import Silent
from coplayer.runs.engines import Lost, Processes, Ray, Slurm
from coplayer.runs.folder import RunFolder
from coplayer.runs.stopping import Stopped
from coplayer.settings import adjust
from stopping import StopAfter, assert_same
from tiny import TINY_A2C

pytestmark = pytest.mark.usefixtures("compiled_once")

QUICK = adjust(TINY_A2C, iterations=4, log_every=2, phases=1, seeds=1)
LONG = adjust(TINY_A2C, iterations=1500, log_every=1, phases=3, seeds=2, checkpoint_seconds=0.2)


class Here:
    """An engine that computes each job at once, in this process. The first `dies` times, the job is lost half way."""

    cores, gpus, own_cores, stays = 2, 0, False, False

    def __init__(self, dies=0):
        self.dies, self.started, self.stopped, self.is_open = dies, [], [], False

    def open(self, function, folder):
        self.function, self.is_open = function, True

    def close(self):
        self.is_open = False

    def at_a_time(self):
        return 1

    def start(self, jobs):
        return [self._start(job) for job in jobs]

    def _start(self, job):
        self.started.append(job["name"])
        before = signal.getsignal(signal.SIGINT)
        try:
            if self.dies:
                self.dies -= 1
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(swept, "Status", lambda file: Dying())
                    self.function(job)
            return self.function(json.loads(json.dumps(job)))
        except KeyboardInterrupt:
            return Lost("killed")
        finally:
            signal.signal(signal.SIGINT, before)

    def ended(self, handle):
        return handle

    def stop(self, handles):
        self.stopped += handles


class Dying(StopAfter):
    """Stands for the end of a job's process between two chunks."""

    def __init__(self):
        super().__init__(1)

    def write(self, **words):
        pass


class Said(Silent):
    """A board that keeps what was said."""

    def __init__(self):
        self.texts = []

    def say(self, text):
        self.texts.append(text)


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def unbroken(config, out):
    """Runs of single seeds that nothing stopped, joined."""
    seeds = range(config.run.seed, config.run.seed + config.run.seeds)
    runs = [registry.train(adjust(config, seed=seed, seeds=1), out / f"{seed}").path for seed in seeds]
    return join(runs, out / "joint")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr("coplayer.experiments.sweep.POLL_SECONDS", 0.05)


def test_a_grid_is_all_combinations_with_all_seeds_in_order():
    jobs = plan(adjust(QUICK, seed=5, seeds=3), {"hidden": [4, 8], "game.rounds": [5, 6]}, seeds_per_job=2)
    assert [job.name for job in jobs] == [
        f"hidden={hidden},game.rounds={rounds},{seeds}"
        for hidden in (4, 8)
        for rounds in (5, 6)
        for seeds in ("seeds=5-6", "seed=7")
    ]
    last = jobs[-1]
    assert last.settings == adjust(QUICK, hidden=8, game=prisoners_dilemma(6), seed=7, seeds=1)
    assert last.values == {"hidden": 8, "game.rounds": 6} and last.setting == "hidden=8,game.rounds=6"


def test_names_of_jobs_are_names_of_folders_and_differ():
    values = [("uniform", "1,1,0,1,0"), ("uniform", "1,1,0,1,1"), ("tit_for_tat",)]
    names = [job.setting for job in plan(QUICK, {"pool": values}, 1)]
    assert names == ["pool=uniform+1,1,0,1,0", "pool=uniform+1,1,0,1,1", "pool=tit_for_tat"]
    long = [("tit_for_tat",) * 20, ("tit_for_tat",) * 21]
    one, other = (job.setting for job in plan(QUICK, {"pool": long}, 1))
    assert other == f"{one}-2" and len(one) <= 100
    games = [prisoners_dilemma(3), cp.PublicGoods()]
    with pytest.raises(CoplayerError, match=r"needs a game of two players, this one has 3 \(with game=public-goods"):
        plan(QUICK, {"game": games}, 1)
    assert [job.setting for job in plan(QUICK, {}, 1)] == ["run"]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"hidden": [4], "run": [1]}, "grid: run: must be one of"),
        ({"lr": [1]}, "grid: lr: must be one of game, pool, .*game.rounds"),
        ({"seeds": [1, 2]}, "grid: seeds: seeds are the same for all settings"),
        ({"hidden": []}, "grid: hidden: must be a list of values"),
        ({"core": "gru"}, "grid: core: must be a list of values, got 'gru'"),
        ({"hidden": [4, 8, 4]}, "grid: hidden: has 4 twice"),
        ({"hidden": [4, 0]}, r"hidden: must be a finite number above 0, got 0 \(with hidden=0\)"),
        ({"game.rounds": [4, 0]}, "game.rounds: must be a whole number of at least 1, got 0"),
        ({"game": [prisoners_dilemma(3)], "game.rounds": [4]}, "only one of the two can be swept"),
        ({"frozen": [Path("nowhere")], "learner_share": [0.0]}, "frozen: nowhere: no such run folder"),
    ],
)
def test_bad_grids_are_one_line_and_make_no_folder(grid, message, tmp_path):
    engine = Here()
    with pytest.raises(CoplayerError, match=message) as error:
        sweep(QUICK, tmp_path / "out", grid, engine=engine)
    assert "\n" not in str(error.value) and not (tmp_path / "out").exists() and not engine.started


def test_a_sweep_is_trained_joined_and_tabulated_and_nothing_is_trained_twice(tmp_path):
    engine, out, grid = Here(dies=2), tmp_path / "out", {"learning_rate": [1e-3, 3e-3]}
    settings = adjust(QUICK, seeds=2)
    done = sweep(settings, out, grid, engine=engine, recipe="a2c-step1", preset="quick")
    names = [f"learning_rate={rate},seed={seed}" for rate in (0.001, 0.003) for seed in (0, 1)]
    assert engine.started == [*names, *names[:2]] and not done.failed and not engine.is_open
    joint = {f"learning_rate={rate}": [out / "settings" / f"learning_rate={rate}"] for rate in (0.001, 0.003)}
    assert done.runs == joint
    configs = [RunFolder(out / "settings" / setting).config() for setting in joint]
    assert [(config["recipe"], config["preset"]) for config in configs] == [("a2c-step1", "quick")] * 2
    whole = unbroken(adjust(settings, learning_rate=1e-3), tmp_path / "unbroken")
    assert_same(out / "settings" / "learning_rate=0.001", whole.path)
    last = {(row["seed"], row["learner"]): row for row in whole.metrics()}
    rows = [row for row in rows_of(done.table) if row["learning_rate"] == "0.001"]
    assert [(int(row["seed"]), int(row["learner"])) for row in rows] == list(last)
    for row in rows:
        assert float(row["reward_vs_learner"]) == last[int(row["seed"]), int(row["learner"])]["reward_vs_learner"]
        assert row["run"] == "settings/learning_rate=0.001" and float(row["seconds"]) > 0
        assert row["job"] == f"learning_rate=0.001,seed={row['seed']}" and row["iteration"] == "4"
    again, before = Here(), done.table.read_bytes()
    assert sweep(settings, out, grid, engine=again, preset="quick") == done
    assert not again.started and done.table.read_bytes() == before
    for other in ({"learning_rate": [1e-3]}, {"learning_rate": [1e-3, 2e-3]}, {}):
        with pytest.raises(CoplayerError, match="holds another sweep, of other settings or seeds"):
            sweep(settings, out, other, engine=again, preset="quick")
    with pytest.raises(CoplayerError, match="holds another sweep"):
        sweep(settings, out, grid, engine=again, seeds_per_job=2, preset="quick")


def test_a_folder_that_holds_something_else_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(CoplayerError, match=r"out: .* exists already"):
        sweep(QUICK, tmp_path, engine=Here())
    (tmp_path / "mine.txt").rename(tmp_path / "sweep.json")
    with pytest.raises(CoplayerError, match=r"sweep.json: unreadable"):
        sweep(QUICK, tmp_path, engine=Here())


def test_a_job_that_fails_is_named_the_others_go_on_and_it_is_tried_again(tmp_path):
    grid, out = {"learning_rate": [1e38, 1e-3]}, tmp_path / "out"
    done = sweep(QUICK, out, grid, engine=Here())
    assert list(done.failed) == ["learning_rate=1e+38,seed=0"]
    assert "is not a finite number in phase 1: stopped" in done.failed["learning_rate=1e+38,seed=0"]
    assert done.runs == {
        "learning_rate=1e+38": [],
        "learning_rate=0.001": [out / "jobs" / "learning_rate=0.001,seed=0"],
    }
    assert {row["learning_rate"] for row in rows_of(done.table)} == {"0.001"}
    assert "Traceback" in (out / "logs" / "learning_rate=1e+38,seed=0.txt").read_text()
    again = Here()
    assert sweep(QUICK, out, grid, engine=again).failed == done.failed
    assert again.started == ["learning_rate=1e+38,seed=0"]


def test_a_lost_job_is_started_again_so_many_times(tmp_path):
    engine, said = Here(dies=3), Said()
    done = sweep(QUICK, tmp_path / "out", engine=engine, restarts=1, board=said)
    assert engine.started == ["run,seed=0"] * 2 and done.failed == {"run,seed=0": "killed, too many times"}
    assert said.texts == ["run,seed=0: killed; it goes on from its last checkpoint", "run,seed=0: killed; given up"]
    assert not sweep(QUICK, tmp_path / "out", engine=Here(dies=1), restarts=1).failed


def test_a_job_whose_folder_another_process_still_holds_waits_its_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(swept, "LOCK_SECONDS", 0.0)
    out, said = tmp_path / "out", Said()
    assert sweep(QUICK, out, engine=Here(dies=1), restarts=0).failed == {"run,seed=0": "killed, too many times"}
    with RunFolder(out / "jobs" / "run,seed=0").locked():
        done = sweep(QUICK, out, engine=Here(), restarts=1, board=said)
    assert done.failed["run,seed=0"].endswith("another process is training in this folder, too many times")
    assert "it goes on from its last checkpoint" in said.texts[0] and len(said.texts) == 2
    assert not sweep(QUICK, out, engine=Here()).failed


@pytest.mark.parametrize("status", [0, 3])
def test_a_program_that_ends_the_process_is_named_at_once(status, tmp_path):
    program = tmp_path / "mine.py"
    program.write_text(f"raise SystemExit({status})")
    engine = Here()
    failed = sweep(QUICK, tmp_path / "out", engine=engine, program=program).failed
    assert f"mine.py: ends the job, with exit status {status}; let it call" in failed["run,seed=0"]
    assert engine.started == ["run,seed=0"]


def test_a_join_that_fails_is_named_and_leaves_the_results_and_the_other_joins(tmp_path, monkeypatch):
    out, tables = tmp_path / "out", []

    def refuse(folders, target):
        tables.append(len(rows_of(out / "results.csv")))
        if "0.001" in target.name:
            raise OSError("no room")
        target.mkdir(parents=True)

    monkeypatch.setattr(module, "join", refuse)
    done = sweep(adjust(QUICK, seeds=2), out, {"learning_rate": [1e-3, 3e-3]}, engine=Here())
    one, other = "learning_rate=0.001", "learning_rate=0.003"
    assert done.failed == {one: "OSError: no room"} and tables == [8, 8]
    assert done.runs == {
        one: [out / "jobs" / f"{one},seed=0", out / "jobs" / f"{one},seed=1"],
        other: [out / "settings" / other],
    }
    where = [f"jobs/{one},seed=0", f"jobs/{one},seed=1", f"settings/{other}", f"settings/{other}"]
    assert [row["run"] for row in rows_of(done.table)][::2] == where


def test_runs_that_cannot_be_joined_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(registry.EXPERIMENTS["a2c-mixed"], "JOINABLE", False)
    out = tmp_path / "out"
    done = sweep(adjust(QUICK, seeds=2), out, engine=Here())
    assert done.runs == {"run": [out / "jobs" / "run,seed=0", out / "jobs" / "run,seed=1"]}
    assert {row["run"] for row in rows_of(done.table)} == {"jobs/run,seed=0", "jobs/run,seed=1"}


def test_the_command_parses_each_value_as_its_flag_is_and_names_what_failed(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli.engines, "Processes", lambda **needed: Here())
    monkeypatch.setattr(cli.runtime, "compute_on_cpu", lambda: None)
    recipe = registry.RECIPES["a2c-mixed"]
    monkeypatch.setitem(registry.RECIPES, "a2c-mixed", recipe._replace(presets=recipe.presets | {"quick": QUICK}))
    out = str(tmp_path / "out")
    words = ["sweep", "a2c-mixed", "--out", out, "--seeds-per-job", "2", "--seeds", "2", "--game.rounds", "6"]
    grid = ["--grid", "optimiser.learning-rate=1e38,1e-3", "--grid", "pool=uniform tit_for_tat"]
    assert cli.main([*words, *grid, "--grid", "centred=false"]) == 2
    printed = capsys.readouterr()
    good = "learning_rate=0.001,pool=uniform+tit_for_tat,centred=False"
    assert f"{good},seeds=0-1: done in" in printed.out and f"table: {out}/results.csv" in printed.out
    assert f"{good}: {out}/jobs/{good},seeds=0-1" in printed.out
    assert "failed: learning_rate=1e+38,pool=uniform+tit_for_tat,centred=False,seeds=0-1: " in printed.out
    assert printed.err == "coplayer: 1 job of 2 failed; the same command tries it again\n"
    assert RunFolder(tmp_path / "out" / "jobs" / f"{good},seeds=0-1").config()["recipe"] == "a2c-mixed"
    stored = json.loads((tmp_path / "out" / "sweep.json").read_text())["jobs"][f"{good},seeds=0-1"]
    assert stored["game"]["rounds"] == 6 and stored["run"]["seeds"] == 2 and stored["loss"]["centred"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--grid lr=1", "grid: lr: must be one of game, pool, "),
        ("--grid hidden", "grid: must be NAME=VALUE,VALUE,... such as learning_rate=1e-3,3e-3; got 'hidden'"),
        ("--grid hidden=4,,8", "grid: must be NAME=VALUE,VALUE,..."),
        ("--grid hidden=4,wide", "hidden: must be a whole number, got 'wide' (see coplayer sweep a2c-mixed --help)"),
        ("--grid hidden=4 --grid network.hidden=8", "grid: hidden: is given twice"),
        ("--grid centred=1", "grid: centred: must be true or false, got 1"),
        ("--seeds 0", "seeds: must be a whole number of at least 1, got 0"),
        ("--seeds-per-job 0", "seeds_per_job: must be a whole number of at least 1, got 0"),
        ("--cores 1000", "cores: this machine has "),
        ("--cores 0", "cores: must be a whole number of at least 1, got 0"),
        ("--gpus 0.5", "gpus: must be a whole number but with --engine ray, got 0.5"),
        ("--partition day", "partition: is for --engine slurm"),
        ("--engine slurm --address auto", "address: is for --engine ray"),
        ("--memory 2", "memory: is for --engine ray or slurm"),
    ],
)
def test_what_cannot_be_swept_is_told_in_one_line(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cli.runtime, "compute_on_cpu", lambda: None)
    assert cli.main(["sweep", "a2c-mixed", "--out", str(tmp_path / "out"), *words.split()]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"coplayer: {message}") and error.count("\n") == 1 and not (tmp_path / "out").exists()


@pytest.mark.parametrize(("name", "extra"), [("ray", "ray"), ("submitit", "slurm")])
def test_an_engine_that_is_not_installed_is_one_line(name, extra, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(cli.runtime, "compute_on_cpu", lambda: None)
    assert cli.main(["sweep", "a2c-mixed", "--out", str(tmp_path / "out"), "--engine", extra]) == 2
    assert capsys.readouterr().err == f"coplayer: engine: {extra} is not installed; pip install 'coplayer[{extra}]'\n"


def test_a_sweep_that_is_stopped_lets_its_jobs_save(tmp_path):
    class Asked(Here):
        def ended(self, handle):
            signal.raise_signal(signal.SIGTERM)
            return None

    engine = Asked()
    with pytest.raises(Stopped):
        sweep(adjust(QUICK, seeds=2), tmp_path / "out", engine=engine)
    assert engine.started == ["run,seed=0"] and len(engine.stopped) == 1 and not engine.is_open


def status(out, job):
    return swept.status_of(out / "logs" / f"{job}.json")


def once_under_way(out, job, act):
    """Do something with the status of a job once that job has trained for a while."""

    def wait():
        while not 0.05 <= status(out, job).get("progress", 0) < 0.7:
            time.sleep(0.01)
        act(status(out, job))

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    return thread


@pytest.mark.long
def test_a_killed_process_goes_on_to_the_same_bits(tmp_path):
    out, said = tmp_path / "out", Said()
    killer = once_under_way(out, "run,seed=0", lambda job: os.kill(job["pid"], signal.SIGKILL))
    done = sweep(LONG, out, engine=Processes(), board=said)
    killer.join()
    assert said.texts == ["run,seed=0: killed by SIGKILL; it goes on from its last checkpoint"] and not done.failed
    assert_same(done.runs["run"][0], unbroken(LONG, tmp_path / "unbroken").path)


@pytest.mark.long
@pytest.mark.parametrize("how", ["USR2", "KILL"])
def test_submitit_puts_a_job_back_that_goes_on_to_the_same_bits(how, tmp_path):
    """USR2 is what submitit has Slurm send before the time is over. Its local executor stands for Slurm."""
    pytest.importorskip("submitit", reason="needs coplayer[slurm]")
    out = tmp_path / "out"
    sent = getattr(signal, f"SIG{how}")
    killer = once_under_way(out, "run,seed=0", lambda job: os.kill(job["pid"], sent))
    done = sweep(LONG, out, engine=Slurm(cluster="local"))
    killer.join()
    assert not done.failed
    logs = "".join(file.read_text() for file in (out / "engine").glob("*.out"))
    assert ("Caught signal SIGUSR2" in logs and "Requeued job" in logs) == (how == "USR2")
    assert_same(done.runs["run"][0], unbroken(LONG, tmp_path / "unbroken").path)


@pytest.mark.long
def test_a_ray_node_is_lost_and_no_job_is(tmp_path):
    """A cluster of a head without cores and two nodes of one core each. The node of the first job is killed."""
    pytest.importorskip("ray", reason="needs coplayer[ray]")
    from ray.cluster_utils import Cluster

    out, cluster = tmp_path / "out", Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    config, lost, said = adjust(LONG, seeds=3), [], Said()

    def kill_node_of(job):
        parent = int(Path(f"/proc/{job['pid']}/stat").read_text().rpartition(")")[2].split()[1])
        [node] = [node for node in nodes if node.all_processes["raylet"][0].process.pid == parent]
        lost.append(job["pid"])
        for process in (parent, job["pid"]):  # all at once, as when a machine is lost
            os.kill(process, signal.SIGKILL)
        cluster.remove_node(node, allow_graceful=False)

    try:
        killer = once_under_way(out, "run,seed=0", kill_node_of)
        done = sweep(config, out, engine=Ray(cores=1, address=cluster.address), board=said)
        killer.join()
    finally:
        cluster.shutdown()
    assert not done.failed and status(out, "run,seed=0")["pid"] != lost[0]
    assert [text.partition(": ")[0] for text in said.texts] == ["run,seed=0"], said.texts
    assert_same(done.runs["run"][0], unbroken(config, tmp_path / "unbroken").path)
