"""An installed nnflow is a workflow: without a clone, from the wheel alone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from container import context


@pytest.fixture(scope="module")
def installed(root, tmp_path_factory):
    """Runs nnflow from a wheel, in a folder that knows nothing of the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    source, site = folder / "source", folder / "site"
    for path in context(root):  # what a container has, too
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / path, source / path)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *options, str(source)], check=True, capture_output=True)
    shutil.rmtree(source)
    environment = {**os.environ, "PYTHONPATH": str(site)}
    environment.pop("NNFLOW_PLUGINS", None)

    def run(*arguments, cwd=folder):
        command = [sys.executable, "-m", "nnflow", *arguments]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)

    run.folder = folder
    return run


@pytest.mark.slow
def test_a_project_from_nothing(installed):
    outside = installed("list")
    assert outside.returncode == 2 and "no project of nnflow" in outside.stderr
    assert installed("init", "course").returncode == 0
    course = installed.folder / "course"
    assert "spurious_minima" in installed("list", cwd=course).stdout
    assert "gradient_descent" in installed("plugins", cwd=course).stdout
    assert installed("new", "model", "my_well", cwd=course).returncode == 0
    done = installed("run", "my_well", "--cores", "2", cwd=course)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (course / "results/quick/my_well/critical_points.nc").exists()
    assert (course / "results/quick/report.html").exists()
    assert installed("why", "my_well", cwd=course).stdout == "my_well: everything is up to date\n"
    derived = ("run", "my_well", "--set", "optimizer.rate=0.2", "--as", "faster", "--cores", "2")
    assert installed(*derived, cwd=course).returncode == 0
    assert (course / "results/quick/faster/critical_points.nc").exists()
