"""What stops a workflow, and what is left: full disks, damaged files, clocks, broken studies."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys

import pytest

BROKEN = """
title: A study whose model raises
model: {name: broken}
initializer: {name: normal}
optimizer: {name: gradient_descent, rate: 0.1}
runs: 2
analyses: [ends]
figures: [ends_figure]
"""
MODEL = '''
import nnflow
from nnflow import Model


class Broken(Model):
    """No loss."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        raise ValueError("no loss today")


@nnflow.hookimpl
def nnflow_register_models(register):
    register("broken", Broken)
'''
RESULT = "results/quick/valley/critical_points.nc"


@pytest.mark.slow
def test_a_broken_study_does_not_stop_the_others(project):
    """Its error names it; the other study is finished; a report says what is missing, and is gone
    once all is well."""
    project.write("plugins/models/broken.py", MODEL)
    project.study("broken", BROKEN)
    command = [sys.executable, "-m", "nnflow", "run", "--", "--cores", "1"]
    command += ["-s", str(project.snakefile)]
    done = project.call(command)
    assert done.returncode == 1
    shown = [line.strip() for line in done.stderr.splitlines()]
    assert "broken: train failed" in shown
    assert any(line.startswith("again:   nnflow train broken --batch 0") for line in shown)
    (line,) = (line for line in shown if line.startswith("nnflow: "))
    assert line == (
        "nnflow: config/studies/broken.yaml: all: model 'broken' (broken.py, line 13):"
        " ValueError: no loss today"
    )
    quick = project.folder / "results/quick"
    assert (quick / "valley/figures/ends_figure.svg").exists()
    assert not (quick / "report.html").exists()
    page = (quick / "unfinished.html").read_text()
    assert "Not finished" in page and "<code>broken</code>" in page
    assert "A quadratic valley" in page
    project.edit(
        "plugins/models/broken.py",
        'raise ValueError("no loss today")',
        'return weights["w"].square().sum(1)',
    )
    again = project.call(command)
    assert again.returncode == 0, again.stderr
    assert "Not finished" not in (quick / "report.html").read_text()
    assert not (quick / "unfinished.html").exists()


DAMAGE = {"empty": b"", "garbage": os.urandom(5000), "text": b"not a dataset\n", "cut short": None}


@pytest.mark.slow
def test_a_damaged_dataset_is_named_and_made_again_once_deleted(done):
    project, before = done, done.contents()
    path = project.folder / RESULT
    whole = path.read_bytes()
    for kind, content in DAMAGE.items():
        path.write_bytes(whole[: len(whole) // 2] if content is None else content)
        failed = project.nnflow("spectrum", "valley")
        assert failed.returncode == 2, kind
        (line,) = failed.stderr.strip().splitlines()
        assert RESULT in line and "not a readable netCDF file" in line, kind
    path.unlink()
    again = project.snakemake("--cores", "1")
    assert again.returncode == 0, again.stderr
    assert project.contents() == before


@pytest.mark.slow
def test_clocks_that_jump_cost_nothing(done):
    """Times of files that lie far ahead or behind: Snakemake looks at the content of files of up
    to 1 MB, which is the same. No dataset holds a time."""
    project, before = done, done.contents()
    os.utime(project.folder / "results/quick/valley/batches/training-0.nc", (2e9, 2e9))
    assert project.planned() == set()
    for file in (project.folder / "results").rglob("*"):
        os.utime(file, (1e9, 1e9))
    assert project.planned() == set()
    assert project.contents() == before


def small_files():
    """A full disk, as far as a process can tell: no file may grow beyond 4 kB."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, 4_000))


@pytest.mark.slow
def test_a_full_disk_is_named_and_the_results_unharmed(project):
    assert project.nnflow("initialize", "valley").returncode == 0
    before = project.contents()
    command = [sys.executable, "-m", "nnflow", "train", "valley", "--batch", "0"]
    failed = subprocess.run(
        command, cwd=project.folder, preexec_fn=small_files, capture_output=True, text=True
    )
    assert failed.returncode == 2, failed.stderr
    line = failed.stderr.strip().splitlines()[-1]
    assert "results/quick/valley/batches/training-0.nc: can't be written" in line
    assert "Traceback" not in failed.stderr
    assert project.contents() == before


@pytest.mark.slow
def test_names_that_a_shell_would_run(project):
    refused = project.snakemake("--cores", "1", "--config", "studies=x;touch pwned")
    assert refused.returncode != 0 and "is not a valid name" in refused.stderr
    results = "a b'$(touch pwned)`touch pwned`;touch pwned"
    done = project.snakemake("--cores", "1", "--config", f"results={results}", "--until", "train")
    assert done.returncode == 0, done.stderr
    assert (project.folder / results / "quick/valley/batches/training-0.nc").exists()
    assert not list(project.folder.rglob("pwned"))
