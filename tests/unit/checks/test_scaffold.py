"""nnflow new: what it writes runs as it is."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

from nnflow import cli
from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.flags import flag_mask
from nnflow.checks import scaffold
from nnflow.checks.plugin_report import Subject, check_plugin
from nnflow.checks.scaffold import new_package, new_plugin, new_study
from nnflow.interfaces import registry


@pytest.fixture
def project(tmp_path, plugins, root):
    """An empty project that has only what the example names; plugins/ is its folder."""
    for place in ("initializers/normal.py", "optimizers/gradient_descent.py"):
        plugins.write(place, (root / "plugins/general" / place).read_text(encoding="utf-8"))
    assert plugins.path == tmp_path / "plugins"
    return tmp_path


def new_model(name, folder):
    return new_plugin("model", name, folder)


def reload():
    registry.registry.cache_clear()
    return registry.registry()


def test_the_model_passes_every_oracle(project):
    new_model("twin_valleys", project)
    found = reload()
    model = found.plugins["models"]["twin_valleys"]
    assert model.__name__ == "TwinValleys"
    results = list(check_plugin(model, {model: Subject(model())}, project, found))
    assert [result for result in results if result.passed is not True] == []
    assert "gradient: closed form against automatic" in {result.check for result in results}


@pytest.mark.parametrize("name", ["model", "torch", "positive_float", "a_1", "x"])
def test_names_that_its_file_uses_itself_work(project, name):
    new_model(name, project)
    found = reload()
    assert found.problems == {}
    model = found.plugins["models"][name]()
    assert float(model.loss({"w": torch.zeros(1, 2, dtype=torch.float64)}, {})) == 0.25


def ran(project, monkeypatch, name):
    """The project, after the study has gone through all stages."""
    reload()
    monkeypatch.chdir(project)
    for stage in ("initialize", "train", "classify", "spectrum", "analyze", "summarize", "draw"):
        cli.app([stage, name], standalone_mode=False)
    return project / "results/quick" / name


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """An empty folder beside the plugins that come with nnflow."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    registry.registry.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in scaffold.FOLDERS if kind != "model"])
def test_a_new_plugin_passes_its_checks_and_its_study_runs(fresh, monkeypatch, kind):
    file = new_plugin(kind, "fresh_idea", fresh)
    found = reload()
    assert str(file.resolve()) not in found.problems
    assert found.plugins[scaffold.FOLDERS[kind]]["fresh_idea"].__name__ == "FreshIdea"
    folder = ran(fresh, monkeypatch, "fresh_idea")
    assert list((folder / "figures").glob("*.svg"))
    (ends, *_) = store.read(folder / "critical_points.nc").values()
    assert np.isfinite(ends["loss"].values).all()
    if kind == "analysis":
        assert (
            "reproduced" in (folder / "claims.csv").read_text()
            or "not_contradicted" in (folder / "claims.csv").read_text()
        )


@pytest.mark.slow
def test_a_new_study_runs(fresh, monkeypatch):
    new_study("fresh_idea", fresh)
    folder = ran(fresh, monkeypatch, "fresh_idea")
    assert (folder / "claims.csv").read_text().count(",reproduced,") == 2


@pytest.mark.slow
def test_a_new_package_is_installed_and_found(tmp_path):
    new_package("fresh_idea", tmp_path)
    site, home = tmp_path / "site", tmp_path / "fresh_idea"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--target", str(site)]
    subprocess.run([*pip, *options, str(home)], check=True, capture_output=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), *sys.path])}
    told = "from nnflow.interfaces.registry import registry as r; print(r().plugins['models'])"
    done = subprocess.run(
        [sys.executable, "-c", told], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert "fresh_idea.plugins.FreshIdea" in done.stdout, done.stderr
    tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(home)]
    assert subprocess.run(tests, env=environment, cwd=tmp_path).returncode == 0


def test_the_study_runs_and_finds_both_minima(fresh, monkeypatch):
    new_model("twin_valleys", fresh)
    reload()
    monkeypatch.chdir(fresh)
    for stage in (
        "initialize",
        "train",
        "classify",
        "spectrum",
        "analyze",
        "summarize",
        "draw",
        "report",
    ):
        name = ["twin_valleys"]
        cli.app([stage, *name], standalone_mode=False)
    folder = fresh / "results" / "quick"
    assert (folder / "report.html").exists()
    (ends,) = store.read(folder / "twin_valleys" / "critical_points.nc").values()
    assert flag_mask(ends.kind, "minimum").all()
    assert flag_mask(ends.is_global, "yes").all()
    reached = {tuple(row) for row in np.round(ends.w.values).astype(int)}
    assert reached == {(1, 1), (-1, -1)}


@pytest.mark.parametrize("name", ["Twin", "2valleys", "a-b", "", "_x", "class", "a/b", "../x"])
def test_bad_names_are_refused(project, name):
    before = sorted(project.rglob("*"))
    with pytest.raises(UserError, match="not a valid name"):
        new_model(name, project)
    assert sorted(project.rglob("*")) == before


@pytest.mark.parametrize("place", ["plugins/models/twin.py", "config/studies/twin.yaml"])
def test_nothing_is_overwritten(project, place):
    file = project / place
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("# mine\n", encoding="utf-8")
    before = sorted(project.rglob("*"))
    with pytest.raises(UserError, match=f"{file}: exists"):
        new_model("twin", project)
    assert file.read_text(encoding="utf-8") == "# mine\n"
    assert sorted(project.rglob("*")) == before


def test_a_name_that_another_plugin_has_is_refused(project):
    new_model("twin", project)
    shutil.move(project / "plugins/models/twin.py", project / "plugins/models/other.py")
    (project / "config/studies/twin.yaml").unlink()
    reload()
    with pytest.raises(UserError, match=r"other\.py: has a model named 'twin'"):
        new_model("twin", project)
