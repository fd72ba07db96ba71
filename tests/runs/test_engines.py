"""Engines: how a job's process is started, how its end is told, and what is refused. Trainings by engines are in
experiments/test_sweep.py.
"""

import os
import signal
import subprocess
import sys
import time

import pytest

from coplayer import runtime
from coplayer.errors import CoplayerError
from coplayer.runs import engines
from coplayer.runs.engines import Lost, Processes, Ray, Slurm


def compute(job):
    """A job as the tests' processes do it."""
    print("said on stdout")
    if job.get("leaves"):
        sys.exit(0)
    if job.get("dies"):
        os.kill(os.getpid(), job["dies"])
    return {"state": "done", "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}


def ends(engine, handle):
    while (ended := engine.ended(handle)) is None:
        time.sleep(0.02)
    return ended


@pytest.fixture
def importable(monkeypatch):
    """Let a new process import this file, and little else."""
    monkeypatch.setattr(compute, "__module__", "test_engines")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([os.path.dirname(__file__), *sys.path]))


@pytest.mark.skipif(os.name == "nt", reason="needs the signals of POSIX")
def test_processes_tell_results_and_deaths_and_share_out_the_gpus(tmp_path, importable, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")
    engine = Processes(cores=1, gpus=1.0)
    assert engine.at_a_time() == min(3, runtime.available_cores())
    engine.open(compute, tmp_path)
    log = tmp_path / "log.txt"
    jobs = {"name": "a"}, {"name": "b", "dies": signal.SIGKILL}, {"name": "c", "leaves": True}
    first, second, third = engine.start([job | {"log": str(log)} for job in jobs])
    assert engine.at_a_time() == min(3, runtime.available_cores())
    assert ends(engine, first) == {"state": "done", "gpus": "3"}
    assert ends(engine, second) == Lost("killed by SIGKILL")
    without = "its process ended without a result, with exit status 0"
    assert ends(engine, third) == {"state": "failed", "error": without}
    assert "said on stdout" in log.read_text() and engine._gpus == ["3", "5", "7"]


def test_gpus_are_those_that_are_visible_or_that_the_machine_has(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with pytest.raises(CoplayerError, match="gpus: this machine has 0, got 1"):
        Processes(cores=1, gpus=1)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(engines.shutil, "which", lambda name: name)
    listed = subprocess.CompletedProcess([], 0, "GPU 0: NVIDIA\nGPU 1: NVIDIA\n")
    monkeypatch.setattr(engines.subprocess, "run", lambda *words, **options: listed)
    assert Processes(cores=1, gpus=2).at_a_time() == 1


def test_a_process_is_asked_to_stop_when_who_started_it_is_gone(monkeypatch):
    asked = []
    monkeypatch.setattr(engines.os, "kill", lambda process, number: asked.append(number))
    end, other = os.pipe()
    os.close(other)
    with open(end) as file:
        engines._stop_at_the_end_of(file)
    assert asked == [signal.SIGTERM]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs a system that binds processes to cores")
def test_processes_hold_cores_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(runtime.tempfile, "gettempdir", lambda: str(tmp_path))
    before = os.sched_getaffinity(0)
    with runtime.own_cores(1):
        [core] = os.sched_getaffinity(0)
        assert runtime.available_cores() == 1 and core == min(before)
        os.sched_setaffinity(0, before)  # as another process sees the machine
        with runtime.own_cores(len(before)):  # not so many are free
            assert os.sched_getaffinity(0) == before
        if len(before) > 1:
            with runtime.own_cores(1):
                assert os.sched_getaffinity(0) == {sorted(before)[1]}
    assert os.sched_getaffinity(0) == before
    with runtime.own_cores(len(before)):  # they are free again
        assert os.sched_getaffinity(0) == before


@pytest.fixture
def slurm_says(tmp_path, monkeypatch):
    """Stand-ins for Slurm's commands, which do what they are told to."""
    if os.name == "nt":
        pytest.skip("needs a shell of POSIX")
    submitit = pytest.importorskip("submitit", reason="needs coplayer[slurm]")
    tools = tmp_path / "tools"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    submitit.SlurmJob.watcher.clear()

    def put(**commands):
        for name, does in commands.items():
            (tools / name).write_text(f"#!/bin/sh\n{does}\n")
            (tools / name).chmod(0o755)

    put(srun="true")
    return put


def test_slurm_is_told_what_each_job_needs(tmp_path, slurm_says):
    """A stand-in for sbatch keeps the script. A job that waits still is not submitted twice."""
    slurm_says(
        sbatch=f"cp $1 {tmp_path}/script; echo Submitted batch job 12",
        sacct="echo 'JobID|State|NodeList'; echo '12_0|PENDING|'; echo '12_1|CANCELLED by 7|'",
    )
    engine = Slurm(2, 1.0, 4.0, 5, partition="day", minutes=90, more={"account": "me", "exclusive": True})
    engine.open(compute, tmp_path / "engine")
    jobs = [{"name": "a"}, {"name": "b"}]
    waits, cancelled = engine.start(jobs)
    script = (tmp_path / "script").read_text()
    for option in (
        *(
            "array=0-1%2",
            "cpus-per-task=2",
            "gpus-per-node=1",
            "mem=4GB",
            "exclusive",
            "partition=day",
            "time=90",
            "account=me",
        ),
        *("signal=USR2@300", "job-name=coplayer"),
    ):
        assert f"#SBATCH --{option}\n" in script
    assert engine.ended(waits) is None
    assert engine.ended(cancelled) == {"state": "failed", "error": "Slurm says CANCELLED by 7"}
    (tmp_path / "script").unlink()
    again = Slurm(cores=2)
    again.open(compute, tmp_path / "engine")
    assert [handle.job_id for handle in again.start(jobs[:1])] == ["12_0"] and not (tmp_path / "script").exists()


def test_slurm_gets_arrays_that_it_takes_and_what_it_forgets_is_lost(tmp_path, slurm_says, monkeypatch):
    count = f"echo x >> {tmp_path}/sent; echo Submitted batch job $(wc -l < {tmp_path}/sent)"
    limit = "echo 'MaxArraySize            = 2'"
    slurm_says(sbatch=count, sacct="echo 'JobID|State|NodeList'", scontrol=limit)
    engine = Slurm(2)
    engine.open(compute, tmp_path / "engine")
    handles = engine.start([{"name": name} for name in "abc"])
    assert [handle.job_id for handle in handles] == ["1_0", "1_1", "2"]
    assert engine.ended(handles[0]) is None
    monkeypatch.setattr(engines, "FORGOTTEN", -1.0)
    assert engine.ended(handles[0]) == Lost("Slurm does not know the job")
    assert [handle.job_id for handle in engine.start([{"name": "c"}])] == ["3"]  # submitted anew


def test_what_sbatch_refuses_is_one_line(tmp_path, slurm_says):
    slurm_says(sbatch="echo sbatch: error: invalid partition specified: dya >&2; exit 1")
    engine = Slurm(2, partition="dya")
    engine.open(compute, tmp_path / "engine")
    with pytest.raises(CoplayerError, match=r"engine: sbatch takes no jobs \(.*invalid partition") as error:
        engine.start([{"name": "a"}])
    assert "\n" not in str(error.value)


def test_a_ray_cluster_that_is_not_there_is_one_line(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="needs coplayer[ray]")

    def refuse(*words, **options):
        raise ConnectionError("nobody\nanswers")

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(CoplayerError, match=r"address: no Ray cluster at 10\.0\.0\.1:6379 \(ConnectionError: nobody\)"):
        Ray(cores=1, address="10.0.0.1:6379").open(compute, tmp_path)
