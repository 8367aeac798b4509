"""The workflow on tiny studies: what it writes, what it writes again, and when."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import xarray as xr
from studies import assert_drawn

CONTRACT = {
    "initialization": {"w"},
    "training": {
        "w", "loss", "gradient_norm", "steps", "status", "stopped_by", "restarts",
        "trace_step", "trace_loss", "trace_gradient_norm",
    },
    "critical_points": {
        "w", "loss", "gradient_norm", "distance", "kind", "index", "nullity",
        "min_eigenvalue", "max_eigenvalue", "zero_range", "is_global", "family",
        "obstacle", "sensitive",
    },
    "spectra": {"w", "eigenvalue", "residual", "loss", "kind", "is_global", "count"},
}  # fmt: skip


@pytest.mark.slow
def test_workflow_writes_the_contract(done):
    folder = done.folder / "results" / "quick" / "valley"
    for name, variables in CONTRACT.items():
        tree = xr.open_datatree(folder / f"{name}.nc")
        assert set(tree.children) == {"steepness=1", "steepness=2"}
        assert "provenance" in tree.attrs and "title" in tree.attrs
        for node in tree.children.values():
            assert variables <= set(node.variables)
            assert all("long_name" in v.attrs for v in node.variables.values())
        tree.close()
    ends = xr.open_datatree(folder / "critical_points.nc")["steepness=2"]
    assert ends["kind"].attrs["flag_meanings"].split()[0] == "minimum"
    assert (ends["kind"].values == 0).all()
    np.testing.assert_allclose(ends["min_eigenvalue"], 2.0, rtol=1e-12)
    np.testing.assert_allclose(ends["max_eigenvalue"], 4.0, rtol=1e-12)
    assert (ends["family"].values == 0).all()
    assert_drawn(folder, ["ends_figure"])
    rows = list(csv.DictReader((folder / "claims.csv").read_text().splitlines()))
    assert [row["verdict"] for row in rows] == ["not_contradicted", "not_measured"]
    page = (done.folder / "results/quick/report.html").read_text(encoding="utf-8")
    assert all(f'<section id="{name}"' in page for name in ("valley", "plain"))
    assert (folder / "logs" / "train-0.log").read_text().count("runs finished") >= 1
    tree = xr.open_datatree(done.folder / "results/quick/plain/training.nc")
    assert not tree.children and tree["loss"].shape == (2,)


CHANGES = {
    "caption of a figure": (
        ("config/studies/valley.yaml", "[ends_figure]", "{ends_figure: {caption: x}}"),
        {"draw_valley", "report"},
    ),
    "code of a figure": (
        ("plugins/figures/ends_figure.py", '"o"', '"s"'),
        {"draw_valley", "report"},
    ),
    "a claim": (
        ("config/studies/valley.yaml", "source: exact", "source: known"),
        {"summarize", "report"},
    ),
    "code of an analysis": (
        ("plugins/analyses/ends.py", ".max()", ".min()"),
        {"analyze_valley", "summarize", "draw_valley", "report"},
    ),
    "spectrum": (
        ("config/studies/valley.yaml", "runs: 6", "runs: 6\nspectrum: {most: 3}"),
        {"spectrum"},
    ),
    "classification": (
        ("config/studies/valley.yaml", "runs: 6", "runs: 6\nclassify: {zero_below: 1.0e-8}"),
        {"classify", "collect", "spectrum", "analyze_valley", "summarize", "draw_valley", "report"},
    ),
    "code of the optimizer": (
        ("plugins/optimizers/slide.py", "W⁺ = W − α∇L(W)", "W⁺ = W − α∇L"),
        {
            "train", "collect", "classify", "spectrum", "analyze_valley", "summarize",
            "draw_valley", "report",
        },
    ),
    "code of another optimizer": (
        ("plugins/optimizers/unused.py", '"""', '""" '),
        set(),
    ),
    "seed": (
        ("config/studies/valley.yaml", "seed: 3", "seed: 4"),
        {
            "initialize", "train", "collect", "classify", "spectrum", "analyze_valley", "summarize",
            "draw_valley", "report",
        },
    ),
}  # fmt: skip


@pytest.mark.slow
def test_a_change_reruns_what_depends_on_it_and_nothing_else(done):
    assert done.planned() == set()
    for what, ((place, old, new), expected) in CHANGES.items():
        original = (done.folder / place).read_text(encoding="utf-8")
        done.edit(place, old, new)
        assert done.planned() == {(rule, "valley") for rule in expected - {"report"}} | {
            (rule, "") for rule in expected & {"report"}
        }, what
        (done.folder / place).write_text(original, encoding="utf-8")
    assert done.planned() == set()


@pytest.mark.slow
def test_one_core_gives_the_bytes_of_two(done):
    before = done.contents()
    run = done.snakemake("--cores", "1", "--forceall", "--config", "studies=valley")
    assert run.returncode == 0, run.stderr
    after = done.contents()
    assert {path for path in before if before[path] != after[path]} <= REPORTS


@pytest.mark.slow
def test_a_folder_with_a_space(done):
    run = done.snakemake("--cores", "2", "--config", "studies=plain", "results=my results")
    assert run.returncode == 0, run.stderr
    assert (done.folder / "my results" / "quick" / "report.html").exists()


REPORTS = {"results/quick/report.html", "results/quick/claims.csv"}
"""What the workflow writes about all of its studies: the forced run had one of the two."""


@pytest.mark.slow
def test_killed_and_repeated_gives_the_same_bytes(finished, project):
    """Twice `kill -9` of the whole run by way of `nnflow run`, then the same command again."""
    command = [sys.executable, "-m", "nnflow", "run", "--", "--cores", "1", "-s"]
    command.append(str(project.snakefile))
    for delay in (4.0, 8.0):
        process = subprocess.Popen(
            command,
            cwd=project.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        time.sleep(delay)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    again = project.call(command)
    assert again.returncode == 0, again.stderr
    ours, theirs = project.contents(), finished.contents()
    assert {path for path in ours if ours[path] != theirs[path]} <= REPORTS
    assert {path for path in theirs if path not in ours and "/plain/" not in path} == set()
    assert not list(project.folder.rglob("*.part"))


@pytest.mark.slow
def test_a_copy_and_another_spelling_of_the_interpreter_leave_nothing_to_do(done):
    """Where results and Python lie changes no number, so nothing runs again."""
    project = done
    assert project.planned() == set()
    (project.folder / "elsewhere").symlink_to(sys.prefix)
    _, _, *arguments = project.command("--cores", "1", "--dry-run")
    python = str(project.folder / "elsewhere" / "bin" / "python")
    run = project.call([python, "-m", *arguments])
    assert run.returncode == 0 and "Nothing to be done" in run.stdout + run.stderr
    told = project.nnflow("why", "valley")
    assert told.stdout == "valley: everything is up to date\n", told
