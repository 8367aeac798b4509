"""A new project: what it holds, and that nothing is overwritten."""

import subprocess
import sys

import pytest

from nnflow.base.errors import UserError
from nnflow.workflow.project import new_project, require_project


def test_a_new_project_plans_the_jobs_of_its_studies(tmp_path):
    new_project(tmp_path / "course")
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "1", "--quiet", "rules"]
    run = subprocess.run(command, cwd=tmp_path / "course", capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "draw_himmelblau" in run.stdout + run.stderr


@pytest.mark.parametrize("name", ["Snakefile", "config/config.yaml", "plugins"])
def test_nothing_is_overwritten(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match="exists; `nnflow init` starts a new project"):
        new_project(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / name).read_text() == "mine"


def test_a_folder_without_config_is_no_project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no folder config/ here"):
        require_project()
    new_project(tmp_path / "course")
    monkeypatch.chdir(tmp_path / "course")
    require_project()
