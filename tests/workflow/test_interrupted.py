"""A job that is killed goes on from its checkpoint, to the same bits."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

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
