"""A project folder as a user has it, with tiny studies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

VALLEY = """
title: A quadratic valley
seed: 3
model: {name: bowl}
initializer: {name: normal}
optimizer: {name: slide, rate: 0.1}
stop: {gradient_norm: 1.0e-9, steps: 2000}
runs: 6
batch: 8
sweep: {model.steepness: [1.0, 2.0]}
analyses: [ends]
figures: [ends_figure]
claims:
  - claim: loss
    statement: the loss at steepness {steepness}
    source: exact
    value: loss
    at_most: {"steepness=1": 1.0e-12, "steepness=3": 1.0e-12}
    kind: statement
scales: {paper: {sweep: {model.steepness: [1.0, 2.0, 3.0]}}}
"""

PLAIN = """
title: A study without figures
model: {name: bowl}
initializer: {name: normal}
optimizer: {name: heavy_ball, rate: 0.1}
runs: 2
"""

BOWL = '''
"""A bowl."""

from pydantic import PositiveFloat

import nnflow
from nnflow import Model


class Bowl(Model):
    """L(w) = s(w₁² + 2w₂²)/2."""

    steepness: PositiveFloat = 1.0
    """s"""

    def shapes(self):
        return {"w": (2,)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        w = weights["w"]
        return self.steepness * (w[:, 0] ** 2 + 2 * w[:, 1] ** 2) / 2


@nnflow.hookimpl
def nnflow_register_models(register):
    register("bowl", Bowl)
'''

ENDS = '''
"""Losses at the ends."""

import numpy as np
import xarray as xr

import nnflow
from nnflow import Analysis


class Ends(Analysis):
    """Largest loss of each configuration."""

    needs = ("critical_points",)

    def compute(self, results):
        loss = [ends["loss"].values.max() for _, ends in results.each("critical_points")]
        labels = [configuration.label for configuration in results.configurations]
        columns = {"loss": ("configuration", np.array(loss))}
        return xr.Dataset(columns, {"configuration": labels})


@nnflow.hookimpl
def nnflow_register_analyses(register):
    register("ends", Ends)
'''

FIGURE = '''
"""Losses, drawn."""

import nnflow
from nnflow import Figure


class EndsFigure(Figure):
    """Largest loss of each configuration."""

    needs = ("ends",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots()
        axes.plot(results["ends"]["loss"].values, "o")
        return figure


@nnflow.hookimpl
def nnflow_register_figures(register):
    register("ends_figure", EndsFigure)
'''


class Project:
    """A project folder: the repository's workflow with plugins and studies of its own."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.folder = folder
        self.snakefile = root / "Snakefile"

    def fill(self) -> None:
        """Write plugins and a study; an optimizer of its own, and one that no study uses."""
        self.write("plugins/models/bowl.py", BOWL)
        self.write("plugins/analyses/ends.py", ENDS)
        self.write("plugins/figures/ends_figure.py", FIGURE)
        shipped = self.snakefile.parent / "plugins/general/optimizers/gradient_descent.py"
        for name in ("slide", "unused"):
            text = shipped.read_text(encoding="utf-8").replace('"gradient_descent"', f'"{name}"')
            self.write(f"plugins/optimizers/{name}.py", text)
        self.study("valley", VALLEY)

    def write(self, place: str, text: str) -> Path:
        file = self.folder / place
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def study(self, name: str, text: str) -> None:
        """Add a study, and have the workflow do it."""
        self.write(f"config/studies/{name}.yaml", text)
        names = sorted(file.stem for file in (self.folder / "config/studies").glob("*.yaml"))
        self.write("config/config.yaml", f"studies: [{', '.join(names)}]\n")

    def edit(self, place: str, old: str, new: str) -> None:
        file = self.folder / place
        text = file.read_text(encoding="utf-8")
        assert old in text
        file.write_text(text.replace(old, new), encoding="utf-8")

    def copy(self, folder: Path) -> Project:
        """A copy of the project in another folder."""
        shutil.copytree(self.folder, folder)
        return Project(folder, self.snakefile.parent)

    def command(self, *arguments: str) -> list[str]:
        run = [sys.executable, "-m", "snakemake", "-s", str(self.snakefile)]
        return [*run, "--directory", str(self.folder), *arguments]

    def snakemake(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run the workflow in the folder."""
        return self.call(self.command(*arguments), **environment)

    def nnflow(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
        """Run the command line in the folder."""
        return self.call([sys.executable, "-m", "nnflow", *arguments], **environment)

    def call(self, command: list[str], **environment: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=900,
        )

    def planned(self) -> set[tuple[str, str]]:
        """(rule, study) of the jobs that the workflow would run now."""
        run = self.snakemake("--cores", "1", "--dry-run", "--quiet", "progress")
        assert run.returncode == 0, run.stderr
        jobs: list[list[str]] = []
        for line in map(str.strip, (run.stdout + run.stderr).splitlines()):  # groups are indented
            if line.startswith(("rule ", "localrule ")):
                jobs.append([line.split()[1].rstrip(":"), ""])
            elif jobs and "output:" in line and "/quick/" in line:
                place = line.split("/quick/")[1].split("/")
                jobs[-1][1] = place[0] if len(place) > 1 else ""
        return {(rule, study) for rule, study in jobs if rule != "all"}

    def contents(self) -> dict[str, bytes]:
        """All results by path, but for logs and measured times; the report tells times, too."""
        found = sorted((self.folder / "results").rglob("*"))
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in found
            if file.is_file() and not {"logs", "benchmarks", "report.html"} & set(file.parts)
        }


@pytest.fixture(scope="session")
def new_project(root: Path) -> Callable[[Path], Project]:
    """Makes a project in a folder."""

    def make(folder: Path) -> Project:
        project = Project(folder, root)
        project.fill()
        return project

    return make


@pytest.fixture
def project(tmp_path: Path, new_project: Callable[[Path], Project]) -> Project:
    """A project whose workflow has not run yet."""
    return new_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Project:
    """A project of two studies whose workflow has run, on two cores."""
    project = Project(tmp_path_factory.mktemp("finished") / "project", root)
    project.fill()
    project.study("plain", PLAIN)
    run = project.snakemake("--cores", "2")
    assert run.returncode == 0, run.stderr
    return project


@pytest.fixture
def done(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished project, to be changed."""
    return finished.copy(tmp_path / "done")
