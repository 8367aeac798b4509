"""A plugin that raises, or gives what it must not: one line names study, point and plugin."""

from __future__ import annotations

import pytest

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.interfaces.registry import registry
from nnflow.stages.analyze import analyze
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.draw import draw
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.stages.train import train
from nnflow.study.loading import load_study

OPTIMIZER = '''
import nnflow
from nnflow import Optimizer, torch


class Broken(Optimizer):
    """W⁺ = W."""

    def start(self, weights, scale):
        return {"kept": scale}

    def step(self, objective, weights, state):
        return weights, state


@nnflow.hookimpl
def nnflow_register_optimizers(register):
    register("broken", Broken)
'''

INITIALIZER = '''
import numpy as np

import nnflow
from nnflow import Initializer


class Broken(Initializer):
    """0."""

    def draw(self, shapes, streams):
        return {"w": np.zeros((len(streams.runs), 2))}


@nnflow.hookimpl
def nnflow_register_initializers(register):
    register("broken", Broken)
'''

DATASET = '''
import numpy as np

import nnflow
from nnflow import Dataset


class Broken(Dataset):
    """One sample after another."""

    def load(self, folder):
        return {"inputs": np.ones((4, 2)), "targets": np.ones(4)}


@nnflow.hookimpl
def nnflow_register_datasets(register):
    register("broken", Broken)
'''

OURS = {"optimizer": OPTIMIZER, "initializer": INITIALIZER, "dataset": DATASET}
FILES = {
    "model": "plugins/models/bowl.py",
    "optimizer": "plugins/optimizers/broken.py",
    "initializer": "plugins/initializers/broken.py",
    "dataset": "plugins/datasets/broken.py",
    "analysis": "plugins/analyses/ends.py",
    "figure": "plugins/figures/ends_figure.py",
}
LOSS = "return self.steepness * (w[:, 0] ** 2 + 2 * w[:, 1] ** 2) / 2"
STEP = "return weights, state\n"
FAULTS = {
    "model raises": ("model", LOSS, "return 1 / 0", "line", "ZeroDivisionError"),
    "model, shape": ("model", LOSS, "return w.square()", "loss", "shape (2, 2)", "not (2,)"),
    "model, scalar": ("model", LOSS, "return w.sum()", "loss", "shape ()"),
    "model, no tensor": ("model", LOSS, "return 3.0", "loss", "no tensor, but float"),
    "optimizer raises": ("optimizer", STEP, "raise ValueError('no\\nway')", "ValueError: no way"),
    "optimizer, shape": ("optimizer", STEP, "return weights[:, :1], state", "shape (2, 1)"),
    "optimizer, state": ("optimizer", STEP, "return weights, {}", "another state"),
    "optimizer, axis": ("optimizer", '"kept": scale', '"kept": scale[:1]', "'kept'", "shape (1,)"),
    "initializer raises": ("initializer", "2))}", "2))}[0]", "line", "KeyError: 0"),
    "initializer, NaN": ("initializer", "np.zeros(", "np.nan * np.ones(", "not finite"),
    "initializer, shape": ("initializer", "runs), 2", "runs), 3", "(6, 3)", "(6, 2)"),
    "dataset raises": ("dataset", "return {", "raise OSError('gone') or {", "OSError: gone"),
    "dataset, NaN": ("dataset", "np.ones(4)", "np.full(4, np.nan)", "'targets'", "not finite"),
    "dataset, shape": ("dataset", "np.ones(4)", "np.ones(3)", "different lengths"),
    "analysis raises": ("analysis", "loss = [", "loss = [][0] + [", "line", "IndexError"),
    "analysis, type": ("analysis", "return xr.Dataset(", "return list(", "TypeError"),
    "analysis, shape": (
        "analysis", "return xr",
        "return xr.Dataset({'loss': ('configuration', [0.0])})\n        xr",
        "1 rows", "2 configurations",
    ),
    "analysis, nothing": ("analysis", "return xr", "xr", "no xarray.Dataset, but NoneType"),
    "figure raises": ("figure", "figure, axes =", "figure =", "line", "NameError"),
    "figure, nothing": ("figure", "return figure", "figure", "no matplotlib Figure"),
}  # fmt: skip


@pytest.fixture
def run(project, monkeypatch, plugins, root):
    """All stages of the study valley, in this process."""
    monkeypatch.chdir(project.folder)
    folders = [root / "plugins", project.folder / "plugins"]
    monkeypatch.setattr("nnflow.interfaces.registry.plugin_folders", lambda: folders)
    for part, text in OURS.items():
        project.write(FILES[part], text)
    log = project.folder / "job.log"

    def stages_of(part):
        if part in ("optimizer", "initializer"):
            old = {"optimizer": "{name: slide, rate: 0.1}", "initializer": "normal"}
            project.edit("config/studies/valley.yaml", old[part], "broken")
        if part == "dataset":
            project.edit("config/studies/valley.yaml", "runs: 6", "runs: 6\ndataset: broken")
        registry.cache_clear()
        study = load_study(project.folder / "config/studies/valley.yaml")
        results = project.folder / "results"
        job = Job(study, results, results, 0, {}, Reporter("test", log))
        initialize(job)
        for batch in range(len(study.batches)):
            train(job, batch)
            classify(job, batch)
        collect(job, "training")
        collect(job, "critical_points")
        analyze(job, {"ends": ""})
        draw(job)
        return results / "quick/valley"

    yield stages_of
    registry.cache_clear()


@pytest.mark.parametrize("fault", FAULTS)
def test_the_plugin_is_named(project, run, fault):
    part, old, new, *words = FAULTS[fault]
    project.edit(FILES[part], old, new)
    with pytest.raises(UserError) as error:
        run(part)
    line = str(error.value)
    assert "\n" not in line and "config/studies/valley.yaml" in line
    name = {"model": "'bowl'", "analysis": "'ends'", "figure": "'ends_figure'"}
    assert name.get(part, "'broken'") in line and part in line
    if part not in ("analysis", "figure", "dataset"):
        assert "steepness=1" in line
    for word in words:
        assert word in line


def test_the_log_has_the_traceback(project, run):
    project.edit(FILES["model"], LOSS, "return 1 / 0")
    with pytest.raises(UserError):
        run("model")
    assert "Traceback (most recent call last)" in (project.folder / "job.log").read_text()


NOT_FINITE = {
    "NaN": (LOSS, "return w[:, 0] * float('nan')", {"diverged"}),
    "overflow": (LOSS, "return torch.exp(1e3 * w.square().sum(1))", {"diverged"}),
    "never converges": (LOSS, "return w[:, 0].exp()", {"step_limit"}),
    "NaN in some runs": (LOSS, LOSS + " + 0 / (w[:, 0] < 0)", {"diverged", "converged"}),
}


@pytest.mark.parametrize("how", NOT_FINITE)
def test_runs_without_an_end_have_a_status_and_the_rest_goes_on(project, run, how):
    """A loss that is not finite, or has no minimum, is a finding about a run and no error."""
    old, new, expected = NOT_FINITE[how]
    project.edit(FILES["model"], old, new)
    project.edit(FILES["model"], "from nnflow import Model", "from nnflow import Model, torch")
    folder = run("model")
    ends = store.read(folder / "training.nc")["steepness=1"]
    meanings = ends["status"].attrs["flag_meanings"].split()
    assert {meanings[value] for value in ends["status"].values} == expected
    points = store.read(folder / "critical_points.nc")["steepness=1"]
    judged = points["kind"].attrs["flag_meanings"].split().index("not_critical")
    lost = ends["status"].values != meanings.index("converged")
    assert (points["kind"].values[lost] == judged).all()
    assert (folder / "figures/ends_figure.png").exists()


def test_float32_trains_and_the_rest_stays_in_float64(project, run):
    """At the ends that polishing finds, nothing of it is left."""
    study = "config/studies/valley.yaml"
    project.edit(study, "gradient_norm: 1.0e-9", "gradient_norm: 1.0e-5")
    project.edit(study, "runs: 6", "runs: 6\nprecision: float32")
    folder = run("model")
    assert store.read(folder / "training.nc")["steepness=1"]["w"].dtype == "float32"
    points = store.read(folder / "critical_points.nc")["steepness=1"]
    assert points["w"].dtype == "float64" and (points["gradient_norm"] < 1e-13).all()
    project.edit(FILES["model"], LOSS, LOSS + " + 0 * w.double().sum(1)")
    with pytest.raises(UserError, match=r"'bowl': loss: torch\.float64 where the weights are"):
        run("model")


UNREACHED = {
    "stop: {gradient_norm: 1.0e-9": "float32 does not reach stop.gradient_norm: 1e-09",
    "stop: {gradient_norm: null, loss: 1.0e-8": "float32 does not reach stop.loss: 1e-08",
    "classify: {polish: none}\nstop: {gradient_norm: 1.0e-5": "classify.critical_below: 1e-09",
}


@pytest.mark.parametrize("setting", UNREACHED)
def test_float32_is_refused_where_a_rule_is_out_of_reach(project, run, setting):
    study = "config/studies/valley.yaml"
    project.edit(study, "stop: {gradient_norm: 1.0e-9", f"precision: float32\n{setting}")
    with pytest.raises(UserError) as error:
        run("model")
    assert study in str(error.value) and UNREACHED[setting] in str(error.value)
