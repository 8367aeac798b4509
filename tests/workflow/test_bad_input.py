"""A user's mistakes: one line that names file, key and reason; nothing in results/ harmed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

STUDY = "config/studies/valley.yaml"

MISTAKES = {
    "unknown model": (("name: bowl", "name: bowll"), ["model", "'bowll'", "did you mean 'bowl'"]),
    "misspelt key": (("optimizer:", "optimiser:"), ["optimiser", "did you mean 'optimizer'"]),
    "misspelt setting": (("rate:", "rat:"), ["optimizer", "rat", "unknown key"]),
    "negative step": (("rate: 0.1", "rate: -0.1"), ["optimizer", "rate", "greater than 0"]),
    "zero runs": (("runs: 6", "runs: 0"), ["runs", "greater than 0"]),
    "figure without data": (
        ("analyses: [ends]", "analyses: []"),
        ["figures.ends_figure", "needs 'ends'"],
    ),
    "not YAML": (("title: A", "title: [A"), ["not valid YAML"]),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_validate_says_what_is_wrong_in_one_line(project, mistake):
    (old, new), words = MISTAKES[mistake]
    project.edit(STUDY, old, new)
    done = project.nnflow("validate", "valley")
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert STUDY in lines[0]
    for word in words:
        assert word in lines[0]


def test_list_goes_on_past_a_mistake(project):
    project.study("broken", "title: [")
    done = project.nnflow("list")
    assert done.returncode == 2
    assert "valley" in done.stdout and "quick: 2 configurations, 12 runs" in done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert "config/studies/broken.yaml: not valid YAML" in line


def test_a_weight_with_a_taken_name(project):
    project.edit("plugins/models/bowl.py", '"w": (2,)', '"loss": (2,)')
    done = project.nnflow("initialize", "valley")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert STUDY in line and "'bowl'" in line and "'loss'" in line


@pytest.mark.slow
def test_mistakes_stop_the_workflow_before_any_job(done):
    project, before = done, done.contents()
    for mistake in ("unknown model", "zero runs", "not YAML"):
        (old, new), words = MISTAKES[mistake]
        project.edit(STUDY, old, new)
        run = project.snakemake("--cores", "1")
        assert run.returncode != 0, mistake
        assert "Traceback" not in run.stderr
        line = next(line for line in run.stderr.splitlines() if STUDY in line)
        assert all(word in line for word in words), line
        project.edit(STUDY, new, old)
    assert project.contents() == before


@pytest.mark.slow
def test_a_truncated_dataset_is_named_and_the_rest_unharmed(done):
    project = done
    path = project.folder / "results/quick/valley/critical_points.nc"
    path.write_bytes(path.read_bytes()[:1000])
    before = project.contents()
    done = project.nnflow("spectrum", "valley")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "results/quick/valley/critical_points.nc" in line and "not a readable netCDF" in line
    assert project.contents() == before


def test_a_broken_plugin_leaves_the_others(project):
    project.write("plugins/models/broken.py", "def broken(:\n")
    assert project.nnflow("validate", "valley").returncode == 0
    project.edit(STUDY, "name: bowl", "name: broken")
    done = project.nnflow("validate", "valley")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "plugins/models/broken.py" in line and "syntax error in line 1" in line


def test_two_plugins_of_one_name_are_refused(project):
    text = (project.folder / "plugins/models/bowl.py").read_text(encoding="utf-8")
    project.write("plugins/models/second_bowl.py", text)
    done = project.nnflow("validate", "valley")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "bowl.py" in line and "second_bowl.py" in line and "'bowl'" in line


def test_results_that_are_no_folder(project):
    project.write("results", "a file")
    done = project.snakemake("--cores", "1")
    assert done.returncode != 0
    assert "results: the results folder can't be written: results is a file" in done.stderr
    assert (project.folder / "results").read_text() == "a file"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder nobody may write")
def test_results_where_nobody_may_write(project):
    done = project.snakemake("--cores", "1", "--config", "results=/proc/results")
    assert done.returncode != 0
    assert "/proc/results: the results folder can't be written" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_results_without_permission(project):
    folder = project.folder / "results"
    folder.mkdir(mode=0o555)
    done = project.snakemake("--cores", "1")
    assert done.returncode != 0
    assert "results: the results folder can't be written: Permission denied" in done.stderr


def test_a_copy_without_its_environment_is_told_before_any_job(root, tmp_path):
    """Snakemake itself would say after a job that it has no right to write."""
    for name in ("nnflow", "plugins", "workflow/rules", "workflow/report", "config"):
        shutil.copytree(root / name, tmp_path / name)
    shutil.copy(root / "Snakefile", tmp_path)
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--config", "studies=toy_valley"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"{tmp_path}/environment.yml: missing; the rules name it" in done.stderr
    assert not (tmp_path / "results").exists()
