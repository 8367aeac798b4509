"""The workflow on a real Slurm: the same bytes as here, whatever dies on the way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from cluster import Cluster, missing_programs, running_cluster, wait_for

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(missing_programs()),
        reason=f"no Slurm here (missing: {', '.join(missing_programs())}); .ci/run installs it",
    ),
]

STUDENTS = """
title: Three batches of students, and a node that dies under one of them
seed: 2018
model: {name: relu_teacher_student, k: 6, n: 6}
initializer: {name: normal, variance: 1, per: fan_in}
optimizer: {name: gradient_descent, rate: 0.1}
stop: {basin: true, loss: 1.0e-3, steps: 100000}
runs: 60
batch: 20
"""

BOWLS = """
title: Batches of two runs in a bowl
model: {name: bowl}
initializer: {name: normal}
optimizer: {name: gradient_descent, rate: 0.1}
runs: 4
batch: 2
"""

# What a user of this cluster changes in the profile; the waiting times are for the test only.
LAB = """
default-resources:
  slurm_partition: main
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 2
latency-wait: 5
"""

PROBE = """
rule all:
    default_target: True
    localrule: True
    input: "seen-1.txt", "seen-2.txt"

rule probe:
    output: "seen-{gpu}.txt"
    resources: gpu=lambda wildcards: int(wildcards.gpu), mem_mb=100, runtime=1
    threads: 1
    shell: "echo $CUDA_VISIBLE_DEVICES > {output}"
"""


@pytest.fixture(scope="module")
def cluster():
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def environment(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, root: Path):
    """The environment of a user of this cluster, with the installed profile."""
    home = tmp_path_factory.mktemp("home")
    environment = {**os.environ, **cluster.environment, "XDG_CONFIG_HOME": str(home)}
    install = [sys.executable, "-m", "nnflow", "profile", "install", "slurm"]
    subprocess.run(install, cwd=root, env=environment, check=True, timeout=60)
    file = home / "snakemake" / "slurm" / "config.yaml"
    profile = yaml.safe_load(file.read_text()) | yaml.safe_load(LAB)
    file.write_text(yaml.safe_dump(profile))
    return environment


@contextmanager
def started(command: list[str], folder: Path, environment: dict[str, str]):
    """A command with its messages in a file `log` in its folder; killed if it still runs when
    the block ends."""
    folder.mkdir(exist_ok=True)
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a command to its end."""
    with started(command, folder, environment) as process:
        finish(process, folder)


def finish(process: subprocess.Popen, folder: Path) -> None:
    assert process.wait(900) == 0, (folder / "log").read_text()[-5000:]


def on_cluster(cluster: Cluster, folder: Path, rule: str = "", state: str = "") -> list[dict]:
    """Jobs of a folder, and of one rule or in one state, if named."""
    return [
        job
        for job in cluster.jobs()
        if job["WorkDir"] == str(folder)
        and job["Comment"].startswith(f"rule_{rule}" if rule else "")
        and job["JobState"].startswith(state)
    ]


@dataclass
class Finished:
    """A workflow that has run twice, in two folders: on Slurm, and here."""

    slurm: Any
    local: Any
    killed: list[str]
    """Jobs that ran on the node when it died."""


@pytest.fixture(scope="module")
def finished(cluster, environment, tmp_path_factory, new_project) -> Finished:
    """Two studies; a node dies while it trains."""
    folder = tmp_path_factory.mktemp("both")
    slurm = new_project(folder / "slurm")
    slurm.study("students", STUDENTS)
    local = slurm.copy(folder / "local")
    with started(slurm.command("--profile", "slurm"), slurm.folder, environment) as head:

        def training() -> list[dict]:
            return on_cluster(cluster, slurm.folder, "train", "RUNNING")

        wait_for(lambda: head.poll() is not None or training(), 300, "job that trains")
        jobs = training()
        node = jobs[0]["NodeList"]
        killed = [job["JobId"] for job in jobs if job["NodeList"] == node]
        cluster.kill_node(node)
        # Slurm needs half a minute to see it
        run(local.command("--cores", "1"), local.folder, environment)
        finish(head, slurm.folder)
    return Finished(slurm, local, killed)


def test_datasets_are_the_same_to_the_byte(finished):
    on_slurm, here = finished.slurm.contents(), finished.local.contents()
    assert on_slurm.keys() == here.keys()
    assert sum(path.endswith(".nc") for path in here) > 10
    assert [path for path in here if on_slurm[path] != here[path]] == []


def test_the_jobs_of_a_dead_node_ran_again(cluster, finished):
    assert finished.killed
    jobs = {job["JobId"]: job for job in on_cluster(cluster, finished.slurm.folder)}
    assert "down" in " ".join(cluster.states())
    for number in finished.killed:
        assert jobs[number]["JobState"] == "COMPLETED"
        assert int(jobs[number]["Restarts"]) >= 1


def test_jobs_asked_for_and_got_what_the_rules_say(cluster, finished):
    """Processors, memory and time of every job of its own, from Slurm; and from the plan."""
    plan = finished.local.snakemake("--cores", "1", "--dry-run", "--forceall")
    said: Counter[tuple[str, ...]] = Counter()
    blocks = re.split(r"\n(?=\s*(?:local)?rule )", plan.stdout + plan.stderr)
    single = ("initialize", "train", "classify")
    for block in blocks:
        rule = block.strip().partition(" ")[2].partition(":")[0]
        if rule in single:
            memory, minutes = re.search(r"mem_mb=(\d+)", block), re.search(r"runtime=(\d+)", block)
            said[rule, "1", f"{memory[1]}M", int(minutes[1])] += 1
    got: Counter[tuple[str, ...]] = Counter()
    for job in on_cluster(cluster, finished.slurm.folder, "", "COMPLETED"):
        if (rule := job["Comment"].removeprefix("rule_").split("_")[0]) in single:
            granted = dict(part.split("=") for part in job["TRES"].split(","))
            assert granted["cpu"] == job["NumCPUs"] and granted["mem"] == job["MinMemoryNode"]
            hours, minutes, _ = job["TimeLimit"].split("-")[-1].split(":")
            got[rule, granted["cpu"], granted["mem"], 60 * int(hours) + int(minutes)] += 1
    assert sum(said.values()) == 12
    assert got == said


def test_short_jobs_of_a_study_share_one_of_slurm(cluster, finished):
    """Of each study: training.nc, critical_points.nc and spectra.nc; all that follows."""
    jobs = on_cluster(cluster, finished.slurm.folder)
    count = Counter(job["Comment"].split("_")[1] for job in jobs)
    assert count == {"initialize": 2, "train": 5, "classify": 5, "gather": 2, "finish": 2}


def test_a_gpu_is_asked_for_and_handed_out(cluster, environment, tmp_path):
    (tmp_path / "Snakefile").write_text(PROBE)
    command = [sys.executable, "-m", "snakemake", "--profile", "slurm"]
    run(command, tmp_path, environment)
    asked = {job["Comment"]: job["TresPerJob"] for job in on_cluster(cluster, tmp_path)}
    assert asked == {
        "rule_probe_wildcards_1": "gres:gpu:1",
        "rule_probe_wildcards_2": "gres:gpu:2",
    }
    assert (tmp_path / "seen-1.txt").read_text().strip() in ("0", "1")
    assert (tmp_path / "seen-2.txt").read_text().strip() == "0,1"


def test_a_killed_workflow_goes_on_when_started_again(cluster, environment, tmp_path, new_project):
    slurm = new_project(tmp_path / "slurm")
    slurm.study("valley", BOWLS)
    local = slurm.copy(tmp_path / "local")
    command = [sys.executable, "-m", "nnflow", "run", "-s", str(slurm.snakefile)]
    command += ["--profile", "slurm"]
    with started(command, slurm.folder, environment):
        wait_for(lambda: on_cluster(cluster, slurm.folder, "train", "RUNNING"), 300, "training")
    assert on_cluster(cluster, slurm.folder, "train", "RUNNING")  # Slurm's jobs live on
    run(local.command("--cores", "1"), local.folder, environment)
    run(command, slurm.folder, environment)
    assert slurm.contents() == local.contents()


def test_batches_are_tasks_of_one_array_job(cluster, environment, tmp_path, new_project):
    """Training as docs/cluster.md sends it in arrays: one job of Slurm, whose tasks are N_1, N_2
    and N_3 as its tools name them, and the same bytes."""
    local = new_project(tmp_path / "local")
    local.study("valley", BOWLS.replace("runs: 4", "runs: 6"))
    run(local.command("--cores", "2"), local.folder, environment)
    slurm = local.copy(tmp_path / "slurm")
    for file in slurm.folder.glob("results/*/valley/batches/training-*.nc"):
        file.unlink()
    command = slurm.command("--profile", "slurm", "--slurm-array-jobs", "train")
    command += ["--until", "train", "--forcerun", "train"]
    # A task that ends `latency-wait` before the first counts as failed: 60 seconds, as in the
    # profile. With 6, Snakemake looks after 12 and 28 seconds; three tasks need some 20.
    times = ["--latency-wait", "60", "--slurm-init-seconds-before-status-checks", "6"]
    run([*command, *times], slurm.folder, environment)
    jobs = on_cluster(cluster, slurm.folder)
    assert [job["JobState"] for job in jobs] == ["COMPLETED"] * 3
    (array,) = {job["ArrayJobId"] for job in jobs}
    names = cluster.call("squeue", "-h", "-t", "all", "-o", "%i", "-j", array).split()
    assert sorted(names) == [f"{array}_{task}" for task in (1, 2, 3)]
    assert slurm.contents() == local.contents()
