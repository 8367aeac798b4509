"""A job that is killed goes on from its checkpoint, to the same bits."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import psutil
import pytest

LONG = """
title: Runs that converge, that start again with half the step, and that meet the limit
seed: 3
model: {name: bowl}
initializer: {name: normal}
optimizer: {name: heavy_ball, rate: 0.01, momentum: 0.5}
stop: {gradient_norm: 1.0e-13, steps: 1500, halvings: 2, check_every: 5}
runs: 20
sweep: {model.steepness: [1.0, 150.0, 600.0, 3.0]}
"""
KILLS = 20


BEFORE = {
    "train": ["initialize"],
    "classify": ["initialize", "train"],
    "spectrum": ["initialize", "train", "classify"],
}
"""The stages that come before one."""


@pytest.mark.slow
@pytest.mark.parametrize("stage", BEFORE)
def test_killed_again_and_again_it_gives_the_same_bytes(project, stage):
    project.study("long", LONG)
    for before in BEFORE[stage]:
        assert project.nnflow(before, "long").returncode == 0
    script = Path(__file__).with_name("interrupted.py")
    done = project.call([sys.executable, str(script), ".", "long", "7", str(KILLS), stage])
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    kills = [count for count, _ in found["finished"]]
    assert kills[0] == 0 and kills[-1] >= KILLS
    assert len({digest for _, digest in found["finished"]}) == 1
    assert found["left"] == []


@pytest.mark.slow
def test_told_to_end_it_keeps_what_is_done(project):
    """SIGTERM, as Slurm sends at the time limit; then a damaged checkpoint and a foreign one."""
    project.study("long", LONG)
    assert project.nnflow("initialize", "long").returncode == 0
    log = project.folder / "train.log"
    command = [sys.executable, "-m", "nnflow", "train", "long", "--batch", "0", "--log", str(log)]
    process = subprocess.Popen(command, cwd=project.folder, stderr=subprocess.DEVNULL)
    while not (log.exists() and "runs finished" in log.read_text()):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    (kept,) = (project.folder / "results/quick/long/checkpoints").iterdir()
    again = project.call(command)
    assert again.returncode == 0, again.stderr
    assert f"goes on from results/quick/long/checkpoints/{kept.name}" in log.read_text()
    assert not kept.exists()
    output = project.folder / "results/quick/long/batches/training-0.nc"
    whole = output.read_bytes()
    kept.write_bytes(os.urandom(1000))
    kept.with_name("train-0-0123456789abcdef.nc").write_bytes(b"")
    assert project.call(command).returncode == 0
    assert "damaged" in log.read_text() and "of other settings, code" in log.read_text()
    assert output.read_bytes() == whole
    assert list(kept.parent.iterdir()) == []


ENDLESS = """
title: As long as it takes
model: {name: bowl}
initializer: {name: normal}
optimizer: {name: heavy_ball, rate: 1.0e-7, momentum: 0.5}
stop: {steps: 100000000, check_every: 100}
runs: 2000
batch: 1000
"""
SMALL = ENDLESS.replace("100000000", "100").replace("2000", "2")


def started(project, *command):
    """The workflow in a terminal of its own, training; (process, the terminal's other end)."""
    master, slave = pty.openpty()

    def own_terminal():
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    process = subprocess.Popen(
        [sys.executable, "-m", *command],
        cwd=project.folder,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        preexec_fn=own_terminal,
    )
    os.close(slave)
    os.set_blocking(master, False)
    logs = project.folder / "results/quick/endless/logs"
    while not all(training(logs / f"train-{batch}.log", master) for batch in (0, 1)):
        assert process.poll() is None
        time.sleep(0.1)
    return process, master


def training(log, master):
    drain(master)
    return log.exists() and "runs finished" in log.read_text()


def drain(master):
    """What a terminal does that shows its text: else the workflow waits to write."""
    with contextlib.suppress(OSError):
        while os.read(master, 65536):
            pass


def jobs(folder):
    """The processes that work on the endless study in the folder, and what they are forked from."""
    found = psutil.process_iter(["cmdline", "cwd"])
    here = [p for p in found if p.info["cwd"] == str(folder)]
    return [p for p in here if {"endless", "nnflow.workflow.warm"} & set(p.info["cmdline"] or [])]


@pytest.mark.slow
@pytest.mark.parametrize("plain", [False, True], ids=["nnflow run", "snakemake"])
@pytest.mark.parametrize("how", ["told once", "told twice", "Ctrl-C", "all terminated"])
def test_what_is_interrupted_leaves_no_job_and_a_clean_folder(project, how, plain):
    """SIGINT to Snakemake alone, once and twice, and Ctrl-C in its terminal; SIGTERM to its whole
    process group."""
    project.study("small", SMALL)
    project.study("endless", ENDLESS)
    workflow = ("snakemake", "-s", str(project.snakefile), "--config", "studies=endless")
    command = workflow if plain else ("nnflow", "run", "endless")
    process, master = started(project, *command, "--cores", "2")
    assert len(jobs(project.folder)) >= 2
    for _ in range(2 if how == "told twice" else 1):
        if how == "Ctrl-C":
            os.write(master, b"\x03")
        elif how == "all terminated":
            os.killpg(process.pid, signal.SIGTERM)
        else:
            process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    until = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < until:
        drain(master)
        time.sleep(0.1)
    os.close(master)
    while jobs(project.folder) and time.monotonic() < until:  # what they are forked from ends last
        time.sleep(0.1)
    left = jobs(project.folder)
    for job in left:
        job.kill()
    assert process.poll() not in (None, 0) and not left
    assert not list((project.folder / "results/quick/endless/batches").glob("*"))
    assert ("train", "endless") in project.planned()
    again = project.snakemake("--cores", "1", "--config", "studies=small")
    assert again.returncode == 0, again.stderr
