"""Jobs that are forked from one warm process are what jobs in processes of their own are."""

from __future__ import annotations

import contextlib
import csv
import os
import secrets
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest

from nnflow.workflow import warm

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no pidfd_open here")

TELLING = '''
"""An initializer that tells whose child its process is."""

import os

import nnflow
from nnflow import Initializer


class Telling(Initializer):
    """w = 0."""

    def draw(self, shapes, streams):
        import numpy as np

        if os.environ.get("THEN"):
            os.kill(os.getpid(), int(os.environ["THEN"]))
        print("parent", " ".join(open(f"/proc/{os.getppid()}/cmdline").read().split("\\0")))
        print("random", np.random.random())
        return {"w": streams.normal(2)}


@nnflow.hookimpl
def nnflow_register(register):
    register("telling", Telling)
'''
LONG = """
        import time

        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            pass
        import numpy as np
"""
STUDY = """
title: A bowl
model: {name: bowl}
initializer: {name: telling}
optimizer: {name: slide, rate: 0.1}
runs: 2
"""
ENDLESS = """
title: No end
model: {name: bowl}
initializer: {name: normal}
optimizer: {name: slide, rate: 1.0e-9}
stop: {steps: 100000000, check_every: 100}
runs: 2000
"""


class Workflow:
    """What a workflow gives its jobs: a folder, a process that lives as long as it, a socket."""

    def __init__(self, project):
        self.folder = project.folder
        self.process = subprocess.Popen(["sleep", "600"])
        name = f"nnflow-{secrets.token_hex(8)}:{self.process.pid}"
        self.environment = {**os.environ, warm.VARIABLE: name, "OMP_NUM_THREADS": "1"}

    def start(self, *words, **environment):
        return subprocess.Popen(
            [sys.executable, "-IS", str(warm.LAUNCHER), *words],
            cwd=self.folder,
            env={**self.environment, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *words, **environment):
        with self.start(*words, **environment) as job:
            out, err = job.communicate(timeout=120)
        return job.returncode, out, err

    def servers(self):
        words = [(p, p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])]
        own = str(self.process.pid)
        return [p for p, line in words if own in line and warm.__name__ in line]

    def end(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def workflow(project):
    project.write("plugins/initializers/telling.py", TELLING)
    project.study("telling", STUDY)
    project.study("endless", ENDLESS)
    found = Workflow(project)
    yield found
    found.end()
    for server in found.servers():
        with contextlib.suppress(psutil.Error):
            server.kill()


def forked(out):
    return warm.__name__ in out


def until(true):
    """Wait until it is true, a minute at most."""
    end = time.monotonic() + 60
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def test_a_forked_job_writes_what_python_writes(workflow):
    first = workflow.run("initialize", "telling")
    second = workflow.run("initialize", "telling", "--results", "again")
    alone = workflow.run("initialize", "telling", "--results", "alone", NNFLOW_WARM="")
    for code, _, err in (first, second, alone):
        assert code == 0, err
    assert forked(first[1]) and forked(second[1]) and not forked(alone[1])
    files = [workflow.folder / place / "quick/telling/initialization.nc"
             for place in ("results", "again", "alone")]  # fmt: skip
    assert len({file.read_bytes() for file in files}) == 1
    assert first[1].split("random")[1] != second[1].split("random")[1]


def test_a_users_mistake_is_told_and_is_the_status(workflow):
    assert workflow.run("initialize", "telling")[0] == 0
    code, _, err = workflow.run("initialize", "telling", "--scale", "small")
    assert code == 2 and err.count("\n") == 1 and "unknown scale" in err


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_job_that_is_killed_ends_its_launcher_alike(workflow, number):
    assert workflow.run("initialize", "telling", THEN="0")[0] == 0
    workflow.environment["THEN"] = str(int(number))
    assert workflow.run("initialize", "telling")[0] == -number


@pytest.mark.parametrize(
    "change",
    [{"NEW": "1"}, {"OMP_NUM_THREADS": "2"}],
    ids=["another variable", "another number of threads"],
)
def test_another_environment_starts_python(workflow, change):
    assert forked(workflow.run("initialize", "telling")[1])
    code, out, err = workflow.run("initialize", "telling", **change)
    assert code == 0 and not forked(out), err


def test_a_job_with_a_gpu_starts_python(workflow):
    assert forked(workflow.run("initialize", "telling", "--gpus", "0")[1])
    assert not forked(workflow.run("initialize", "telling", "--gpus", "1")[1])


def test_changed_code_starts_python(workflow):
    assert forked(workflow.run("initialize", "telling")[1])
    file = workflow.folder / "plugins/initializers/telling.py"
    file.write_text(file.read_text().replace('"random"', '"chance"'))
    code, out, err = workflow.run("initialize", "telling")
    assert code == 0 and "chance" in out and not forked(out), err


def job_of(launcher):
    found = until(lambda: warm.forked_by(launcher) or not launcher.is_running())
    assert found is not True
    return found[0]


def training(workflow):
    """A launcher whose job trains, and the job."""
    launcher = workflow.start("train", "endless", "--batch", "0", "--log", "log")
    job = job_of(psutil.Process(launcher.pid))
    log = workflow.folder / "log"
    until(lambda: log.exists() and "runs finished" in log.read_text())
    return launcher, job


@pytest.fixture
def trained(workflow):
    assert workflow.run("initialize", "endless")[0] == 0
    launcher, job = training(workflow)
    with launcher:
        yield launcher, job
        launcher.kill()


def gone(process):
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_the_job(workflow, trained, number):
    launcher, job = trained
    launcher.send_signal(number)
    _, err = launcher.communicate(timeout=60)
    assert launcher.returncode != 0 and "killed" not in err
    assert until(lambda: gone(job))
    kept = list((workflow.folder / "results/quick/endless/checkpoints").glob("*.nc"))
    assert len(kept) == (number == signal.SIGTERM)


@pytest.mark.slow
def test_a_launcher_that_is_killed_takes_the_job_along(trained):
    launcher, job = trained
    launcher.kill()
    assert until(lambda: gone(job))


@pytest.mark.slow
def test_a_server_that_is_killed_takes_its_jobs_along(workflow, trained):
    launcher, job = trained
    workflow.servers()[0].kill()
    _, err = launcher.communicate(timeout=60)
    assert launcher.returncode == -signal.SIGKILL and "was killed" in err
    assert until(lambda: gone(job))
    assert workflow.run("initialize", "telling")[0] == 0  # the next job starts another


@pytest.mark.slow
def test_the_server_ends_after_its_workflow_and_its_jobs(workflow, trained):
    launcher, job = trained
    server = workflow.servers()[0]
    workflow.end()
    time.sleep(0.5)
    assert server.is_running() and not gone(job)
    launcher.terminate()
    assert until(lambda: gone(server))
    assert launcher.wait(60) != 0


def test_nothing_is_forked_for_somebody_else(monkeypatch):
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        assert warm._own(ours)
        monkeypatch.setattr(os, "getuid", lambda: 4242)
        assert not warm._own(ours)


def test_jobs_that_are_not_local_start_python():
    class Workflow:
        is_main_process = False

    environment = {warm.VARIABLE: "left by the workflow that submitted this job"}
    warm.offer_warm_start(environment, Workflow())
    assert environment == {}


def test_a_jobs_own_memory_is_measured_where_its_size_has_changed(monkeypatch):
    """Here the forked job is this process, and its launcher one that sleeps."""
    benchmark = pytest.importorskip("snakemake.benchmark")
    monkeypatch.setattr(benchmark, "BenchmarkTimer", benchmark.BenchmarkTimer)
    warm.measure_forked_jobs()
    asked = []
    whole = psutil.Process.memory_full_info
    monkeypatch.setattr(
        psutil.Process, "memory_full_info", lambda self: asked.append(self.pid) or whole(self)
    )
    with subprocess.Popen(["sleep", "60"]) as launcher:
        monkeypatch.setattr(
            warm,
            "forked_by",
            lambda process: [psutil.Process()] if process.pid == launcher.pid else [],
        )
        record = benchmark.BenchmarkRecord()
        timer = benchmark.BenchmarkTimer(launcher.pid, record)
        for _ in range(3):
            timer.work()
        assert asked.count(os.getpid()) == 1
        before = record.max_rss, record.max_uss
        held = b"1" * 10**9
        timer.work()
        assert asked.count(os.getpid()) == 2 and len(held) == 10**9
        assert min(record.max_rss - before[0], record.max_uss - before[1]) > 900
        launcher.kill()


@pytest.mark.slow
def test_benchmarks_measure_forked_jobs(project):
    """The Python that a job runs in takes more memory than a launcher and a shell. It is measured
    twice a second, so that this job lasts longer."""
    text = TELLING.replace("        import numpy as np\n", LONG)
    project.write("plugins/initializers/telling.py", text)
    project.study("telling", STUDY)
    (project.folder / "config/config.yaml").write_text("studies: [telling]\n")
    run = project.snakemake("--cores", "2")
    assert run.returncode == 0, run.stderr
    folder = project.folder / "results/quick/telling"
    with (folder / "benchmarks/initialize.tsv").open() as lines:
        (row,) = csv.DictReader(lines, delimiter="\t")
    assert float(row["max_rss"]) > 60 and float(row["cpu_time"]) > 0.5
    assert "start-up" in (folder / "logs/initialize.log").read_text()
