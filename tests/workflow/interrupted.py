"""Runs a stage of a study in processes that are killed, over and over, until it is done.

    python interrupted.py FOLDER STUDY SEED KILLS STAGE

Starting Python and torch takes seconds; forking a process that has started takes none, so
that many kills cost little. Each attempt is a process group of its own that goes by way of
the command line, and gets SIGKILL at a random moment. Prints, for every time that the batch
was finished, the number of kills so far and the hash of what it wrote, as JSON; the first
is without any kill.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch

from nnflow.cli import stages as cli
from nnflow.stages import classify, spectrum, train  # noqa: F401 — before the processes part

PARTS = 10
"""A kill comes after at most this fraction of the time that the whole takes."""
MOMENTS = ("created", "half-written", "written", "renamed")
"""Moments of a checkpoint's writing at which a process kills itself."""


WRITES = {
    "train": "batches/training-0.nc",
    "classify": "batches/critical_points-0.nc",
    "spectrum": "spectra.nc",
}
"""What a stage writes for one batch."""


def attempt(stage: str, study: str, moment: str = "") -> int:
    """A process, in a group of its own, that runs the stage on batch 0."""
    if pid := os.fork():
        return pid
    os.setpgid(0, 0)
    torch.set_num_threads(1)
    if moment:
        die_while_writing(moment)
    try:
        batch = {} if stage == "spectrum" else {"batch": 0}
        getattr(cli, stage)(study, log=Path(f"{stage}.log"), **batch)
    finally:
        os._exit(0 if sys.exc_info()[0] is None else 1)


def die_while_writing(moment: str) -> None:
    """Kill this process at a moment of the writing of its first checkpoint."""
    from nnflow.base import checkpoint

    write, fsync, replace = checkpoint._add, os.fsync, Path.replace
    die = lambda: os.killpg(0, signal.SIGKILL)  # noqa: E731

    def add(group, name, values):
        if moment == "created":
            die()
        write(group, name, values)
        if moment == "half-written":
            die()

    def synced(number):
        fsync(number)
        if moment == "written":
            die()

    def renamed(self, target):
        done = replace(self, target)
        if moment == "renamed":
            die()
        return done

    checkpoint._add, os.fsync, Path.replace = add, synced, renamed


def finished(pid: int) -> bool:
    """Waits for the process; False where it was killed."""
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        sys.exit("the stage failed")
    return os.WIFEXITED(status)


def main(folder: str, study: str, seed: str, kills: str, stage: str) -> None:
    os.chdir(folder)
    results = Path("results/quick", study)
    output = results / WRITES[stage]
    chance = random.Random(int(seed))
    os.environ["NNFLOW_CHECKPOINT"] = "3600"
    begun = time.monotonic()
    finished(attempt(stage, study))
    whole = time.monotonic() - begun
    seen = [(0, hashlib.sha256(output.read_bytes()).hexdigest())]
    os.environ["NNFLOW_CHECKPOINT"] = "0.02"
    output.unlink()
    count = tries = 0

    def done() -> bool:
        return output.exists() and not list((results / "checkpoints").glob("*"))

    while count < int(kills) or not done():
        if output.exists():
            output.unlink()
        # each wait a little longer than the last: some day it is finished
        wait = chance.uniform(0, whole / PARTS) * 1.05**tries
        tries += 1
        if count < len(MOMENTS):
            pid = attempt(stage, study, MOMENTS[count])
        else:
            pid = attempt(stage, study)
            time.sleep(wait)
            os.kill(pid, signal.SIGKILL)
        count += not finished(pid)
        if done():
            seen.append((count, hashlib.sha256(output.read_bytes()).hexdigest()))
    print(json.dumps({"finished": seen, "left": os.listdir(results / "checkpoints")}))
    shutil.rmtree(results / "checkpoints")


if __name__ == "__main__":
    main(*sys.argv[1:])
