"""An analysis in parts: each a job of its own, and none is done twice."""

from __future__ import annotations

import pytest

from nnflow.base import store

SQUARES = '''
"""Squares of losses, part by part."""

import os
from pathlib import Path

import numpy as np
import xarray as xr

import nnflow
from nnflow import Analysis


class Squares(Analysis):
    """Sum of squared losses; each part is a share of the runs."""

    needs = ("critical_points",)
    columns = {"total": "sum of squared losses"}
    shares: int = 3
    """Number of parts."""

    def parts(self, study):
        return self.shares

    def part(self, results, number):
        with Path("computed.txt").open("a") as file:
            file.write(f"{number}\\n")
        if number == 2 and Path("fails").exists():
            raise RuntimeError("the machine went down")
        loss = np.concatenate([c["loss"].values for _, c in results.each("critical_points")])
        return xr.Dataset({"square": ("run", loss[number :: self.shares] ** 2 + 1.0)})

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        parts = results.parts(self)
        table.everywhere(total=float(sum(part["square"].sum() for part in parts)))
        return table.dataset()


@nnflow.hookimpl
def nnflow_register(register):
    register("squares", Squares)
'''
STUDY = """
title: A bowl whose losses are squared in parts
model: {name: bowl}
initializer: {name: normal}
optimizer: {name: gradient_descent, rate: 0.1}
stop: {steps: 3}
runs: 7
analyses: [squares]
"""


@pytest.fixture
def squares(project):
    """A project with one study, whose analysis has three parts."""
    (project.folder / "config/studies/valley.yaml").unlink()
    project.write("plugins/analyses/squares.py", SQUARES)
    project.study("bowls", STUDY)
    return project


def computed(project) -> list[str]:
    """The parts that were computed since this was asked last."""
    file = project.folder / "computed.txt"
    lines = sorted(file.read_text().split()) if file.exists() else []
    file.unlink(missing_ok=True)
    return lines


@pytest.mark.slow
def test_parts_are_jobs_and_what_is_done_stays(squares):
    (squares.folder / "fails").touch()
    assert squares.snakemake("--cores", "2", "--keep-going").returncode != 0
    assert computed(squares) == ["0", "1", "2"]
    (squares.folder / "fails").unlink()
    again = squares.snakemake("--cores", "2")
    assert again.returncode == 0, again.stderr
    assert computed(squares) == ["2"]
    folder = squares.folder / "results/quick/bowls"
    whole = store.read(folder / "analyses/squares.nc")[""]["total"].item()
    (points,) = store.read(folder / "critical_points.nc").values()
    assert whole == pytest.approx((points["loss"].values ** 2 + 1).sum())
    assert squares.planned() == set()

    squares.edit("config/studies/bowls.yaml", "[squares]", "{squares: {shares: 2}}")
    why = squares.nnflow("why", "bowls").stdout
    assert why.startswith("analyses/squares/0.nc and ") and "more: analysis.shares 3" in why, why
    run = squares.nnflow("run", "-s", str(squares.snakefile), "--cores", "2")
    assert run.returncode == 0, run.stderr
    assert computed(squares) == ["0", "1"]
    assert store.read(folder / "analyses/squares.nc")[""]["total"].item() == pytest.approx(whole)


def test_by_hand_missing_parts_are_computed_first(squares):
    for stage in ("initialize", "train", "classify", "spectrum"):
        assert squares.nnflow(stage, "bowls").returncode == 0
    one = squares.nnflow("analyze", "bowls", "squares", "--part", "1")
    assert one.returncode == 0, one.stderr
    assert squares.nnflow("analyze", "bowls").returncode == 0
    assert computed(squares) == ["0", "1", "2"]
    assert squares.nnflow("summarize", "bowls").returncode == 0
    refused = squares.nnflow("analyze", "bowls", "squares", "--part", "3")
    assert refused.returncode == 2
    assert "bowls: squares has no part 3 (it has 3 parts)" in refused.stderr


def test_parts_come_before_other_analyses(squares):
    text = SQUARES.replace('needs = ("critical_points",)', 'needs = ("ends",)')
    squares.write("plugins/analyses/squares.py", text)
    squares.edit("config/studies/bowls.yaml", "[squares]", "[ends, squares]")
    refused = squares.nnflow("validate", "bowls")
    assert refused.returncode == 2
    assert (
        "analyses.squares: has parts, which are computed before the analysis 'ends'"
        in refused.stderr
    )
