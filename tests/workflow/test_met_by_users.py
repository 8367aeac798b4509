"""Faults that users met, each as a small input; what is right is the test."""

from __future__ import annotations

import pytest
import torch

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.base.spectra import of_families
from nnflow.engine.critical import KINDS, OBSTACLES, UNDERFLOW
from nnflow.interfaces.registry import registry
from nnflow.stages.analyze import analyze
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.draw import draw
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.stages.spectrum import spectrum
from nnflow.stages.train import train
from nnflow.study.loading import load_study
from nnflow.workflow.plan import Plan

MODEL = '''
import nnflow
import numpy as np
from nnflow import Initializer, Model, torch


class Bowl(Model):
    """L(w) = s/2 ‖w‖²."""

    size: int = 2
    sign: float = 1.0

    def shapes(self):
        return {"w": (self.size,)}

    def loss(self, weights, data):
        return self.sign * (weights["w"] ** 2).sum(1) / 2

    def observables(self, weights, data):
        return {}


class Ones(Initializer):
    """Ones."""

    def draw(self, shapes, streams):
        return {"w": torch.zeros(len(streams.runs), *shapes["w"])}


@nnflow.hookimpl
def nnflow_register(register):
    register("user_bowl", Bowl)
    register("user_ones", Ones)
'''
STUDY = """
title: A bowl
model: {name: user_bowl}
initializer: {name: normal}
optimizer: {name: gradient_descent, rate: 0.1}
runs: 2
stop: {steps: 300}
"""


@pytest.fixture
def user(tmp_path, monkeypatch, root):
    """Runs the first stages of a study with a plugin of the user's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plugins").mkdir()
    folders = [root / "plugins", tmp_path / "plugins"]
    monkeypatch.setattr("nnflow.interfaces.registry.plugin_folders", lambda: folders)

    def run(study=STUDY, model=MODEL, stages=(initialize, train, classify)):
        registry.cache_clear()
        (tmp_path / "plugins/bowl.py").write_text(model)
        (tmp_path / "bowl.yaml").write_text(study)
        loaded = load_study(tmp_path / "bowl.yaml")
        job = Job(loaded, tmp_path / "results", tmp_path, 0, {}, Reporter("test", None))
        for stage in stages:
            stage(job) if stage is initialize else stage(job, 0)
        return job

    yield run
    registry.cache_clear()


def refused(run, words, **changed):
    with pytest.raises(UserError) as caught:
        run(**changed)
    assert words in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["loss", "gradient_norm", "step", "a/b"])
def test_an_observable_of_a_taken_name(user, name):
    model = MODEL.replace("return {}", f'return {{"{name}": weights["w"].sum(1)}}')
    refused(user, f"an observable may not be called '{name}'", model=model)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [("{}", "has no weights"), ('{"w": (0,)}', "the weight 'w' has no entries")],
)
def test_a_model_without_weights(user, shapes, words):
    refused(user, words, model=MODEL.replace('{"w": (self.size,)}', shapes))


def test_an_initializer_may_give_a_tensor_and_no_masked_values(user):
    study = STUDY.replace("normal", "user_ones")
    user(study)
    masked = MODEL.replace(
        'torch.zeros(len(streams.runs), *shapes["w"])',
        "np.ma.masked_equal(np.zeros((len(streams.runs), 2)), 0)",
    )
    refused(user, "values that are not finite", study=study, model=masked)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("runs: 2", "runs: true", "runs: expected a number or a text, not true"),
        ("rate: 0.1", "rate: true", "rate: expected a number"),
        ("runs: 2", "runs: 2\nruns: 3", "the key 'runs' stands twice"),
        ("runs: 2", "runs: 010", "is no plain decimal number"),
        ("runs: 2", "runs: 2\nanalyses: [{critical_point_counts: {}}]", "expected a list of names"),
        ("runs: 2", "runs: 100000000000000000000", "bowl.yaml: runs: 100000000000000000000 runs"),
        ("runs: 2", "runs: 2\nfindings: ['{nothing}']", "no analysis gives the column 'nothing'"),
        (
            "runs: 2",
            "runs: 2\nclaims: [{claim: a, statement: a, source: a, value: nothing, published: 1}]",
            "claims.a: no analysis gives the column 'nothing'",
        ),
        (
            "runs: 2",
            "runs: 2\nfigures: [convergence, {name: landscape}]",
            "expected a list of names",
        ),
        ("runs: 2", "runs: 2\nfigures: [convergence, convergence]", "'convergence' stands twice"),
        ("runs: 2", "runs: 2\nvary: {optimizer.rate: [true]}", "expected a list of finite numbers"),
        (
            "runs: 2",
            "runs: 2\nclassify: {zero_below: 2}",
            "zero_below: Input should be less than 1",
        ),
        (
            "runs: 2",
            "runs: 2\nanalyses: [critical_point_counts]\nclaims: [{claim: none, statement: s,"
            " source: x, value: minima, published: {}}]",
            "none: published: names no configuration",
        ),
        (
            "runs: 2",
            f"runs: 2\nsweep: {{initializer: [{{name: {'a' * 300}}}]}}",
            "is longer than 250 bytes",
        ),
    ],
)
def test_a_study_file_that_says_something_else_than_is_meant(user, old, new, words):
    refused(user, words, study=STUDY.replace(old, new), stages=())


@pytest.mark.parametrize(("sign", "kind"), [(1.0, "minimum"), (-1.0, "maximum")])
def test_many_weights_are_judged_as_few(user, sign, kind):
    """Where all known eigenvalues have one sign beyond the ends, so have the others."""
    study = STUDY.replace("{name: user_bowl}", f"{{name: user_bowl, size: 40, sign: {sign}}}")
    study = study.replace("{name: normal}", "{name: normal, variance: 0, bias_variance: 0}")
    study += "classify: {dense_up_to: 10}\n"
    job = user(study)
    (found,) = store.read(job.batch_path("critical_points", 0)).values()
    names = found["kind"].attrs["flag_meanings"].split()
    assert {names[i] for i in found["kind"].values} == {kind}
    assert set(found["index"].values) == {0 if sign > 0 else 40}
    assert set(found["nullity"].values) == {0}


UNIT = '''
import nnflow
from nnflow import Model


class Unit(Model):
    """L(w) = u/2 (s w₁² + w₂² + w₃²)."""

    unit: float
    sign: float

    def shapes(self):
        return {"w": (3,)}

    def loss(self, weights, data):
        squares = weights["w"] ** 2
        return self.unit * (self.sign * squares[:, 0] + squares[:, 1:].sum(1)) / 2


@nnflow.hookimpl
def nnflow_register(register):
    register("user_bowl", Unit)
'''


@pytest.mark.parametrize("many", ["", "classify: {dense_up_to: 1}\n"], ids=["dense", "products"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("unit", ["1e-6", "1e-12", "1e-60", "1e-130", "1e-150", "1e-300", "1e-310"])
def test_a_run_is_critical_in_every_unit_of_the_loss_or_in_none(user, unit, sign, many):
    """A run beside a saddle is not at it, however small the loss's unit makes its gradient; where
    float64 has no digits left, nothing is told."""
    study = STUDY.replace("{name: user_bowl}", f"{{name: user_bowl, unit: {unit}, sign: {sign}}}")
    job = user(study + many, UNIT)
    (ends,) = store.read(job.batch_path("critical_points", 0)).values()
    obstacles = {OBSTACLES[i] for i in ends["obstacle"].values}
    if float(unit) < UNDERFLOW:
        assert obstacles == {"underflow"} and (ends["index"].values == -1).all()
    elif sign > 0:
        minimum = ends["kind"].values == KINDS.index("minimum")
        assert minimum.any() and obstacles <= {"none", "gradient"}
        assert (abs(ends["w"].values[minimum]) < 1e-6).all()
    else:
        assert obstacles == {"gradient"}


def test_a_weight_with_a_slash_in_its_name(user):
    model = MODEL.replace('{"w": (self.size,)}', '{"layer/w": (self.size,)}')
    refused(user, "calls a weight 'layer/w'; netCDF has no slash in names", model=model)


class Heard(Reporter):
    """A reporter whose lines can be read."""

    def __init__(self):
        super().__init__("test", None)
        self.lines = []

    def line(self, text, terminal=True):
        self.lines.append(text)


def finished(job, figures=False):
    """The job's further stages, and all that was said."""
    heard = Heard()
    job = Job(job.study, job.results, job.data, 0, {}, heard)
    collect(job, "training")
    collect(job, "critical_points")
    spectrum(job)
    if figures:
        draw(job)
    return job, heard.lines


def test_a_start_below_the_threshold_of_a_small_unit_is_told(user, monkeypatch):
    lines = []
    monkeypatch.setattr(Reporter, "line", lambda self, text, terminal=True: lines.append(text))
    model = MODEL.replace("self.sign *", "1e-9 *")
    user(STUDY + "sweep: {model.sign: [1]}", model=model)
    assert any("2 of 2 runs had a gradient below stop.gradient_norm (1e-08)" in t for t in lines)
    lines.clear()
    user(STUDY)
    assert not any("not trained" in text for text in lines)


CLIMB = STUDY.replace("steps: 300", "steps: 20, check_every: 5") + "classify: {polish: none}\n"


@pytest.mark.parametrize("settings", ["", "spectrum: {at: runs}"])
def test_spectra_are_those_of_runs_where_none_is_critical(user, settings):
    job, said = finished(user(CLIMB + settings))
    spectra, critical = job.read["spectra"], job.read["critical_points"]
    assert spectra["eigenvalue"].dims == ("run", "mode") and (spectra["eigenvalue"] == 1).all()
    assert (critical["obstacle"].values == 2).all()
    assert (
        "note: all: 2 of 2 runs are not critical: 2 with a gradient that is not below"
        " classify.critical_below" in said
    )
    assert any("no run reached a critical point" in text for text in said) == (not settings)
    none = of_families(spectra)
    assert none.sizes["family"] == 0 and none["count"].size == 0
    assert none["eigenvalue"].dims == ("family", "mode")


def test_figures_of_runs_that_are_not_finite_say_so_in_a_line(user):
    study = STUDY.replace("rate: 0.1", "rate: 1.0e+300")
    study += "figures: [spectrum_ends, loss_trajectories, hessian_spectra, convergence]\n"
    job, said = finished(user(study), figures=True)
    assert "note: loss_trajectories: panels without data: 1" in said
    assert "note: all: 2 of 2 runs diverged" in said
    assert [text.split()[1] for text in said if text.startswith("drew")] == [
        "spectrum_ends", "loss_trajectories", "hessian_spectra", "convergence",
    ]  # fmt: skip
    assert (job.read["critical_points"]["obstacle"].values == 1).all()


@pytest.mark.parametrize(
    ("infimum", "legend"),
    [("None", "minimum (2 runs)"), ("-1.0", "spurious minimum (2 runs)")],
)
def test_spurious_is_said_where_the_infimum_is_known(user, infimum, legend):
    model = MODEL.replace(
        "    def observables",
        f"    def infimum(self):\n        return {infimum}\n\n    def observables",
    )
    job, _ = finished(user(STUDY + "figures: [loss_trajectories]\n", model=model), figures=True)
    text = (job.folder / "figures/loss_trajectories.svg").read_text()
    assert f"<!-- {legend}" in text


def test_one_end_of_the_spectrum_alone(user):
    """The upper end is numbered from −1, and the lower one is not known."""
    study = STUDY.replace("{name: user_bowl}", "{name: user_bowl, size: 12}")
    study += "classify: {dense_up_to: 1, eigenvalues: {highest: 3}}\nfigures: [spectrum_ends]\n"
    job, _ = finished(user(study + "analyses: [spectrum_ends]\n"), figures=True)
    assert job.read["spectra"]["mode"].values.tolist() == [-3, -2, -1]
    analyze(job, {"spectrum_ends": ""})
    found = job.read["spectrum_ends"]
    assert found["max_eigenvalue"].item() == pytest.approx(1)
    assert found["min_eigenvalue"].isnull().all()


@pytest.mark.parametrize("setting", ["loss", "gradient", "plugins", "name", "files"])
def test_a_setting_that_hides_a_method(user, setting):
    model = MODEL.replace("size: int = 2", f"size: int = 2\n    {setting}: int = 3")
    model = model.replace("def loss(", "def other(") if setting == "loss" else model
    words = f"the setting '{setting}' hides what every Model has by that name; rename it"
    refused(user, "broken plugin files: 1, `nnflow plugins` says why", model=model)
    assert any(words in reason for reason in registry().problems.values())


def test_a_limit_of_steps_that_nobody_reaches_costs_nothing(user):
    job = user(STUDY.replace("steps: 300", "steps: 1000000000000"))
    (training,) = store.read(job.batch_path("training", 0)).values()
    assert (training["steps"] < 1000).all()


def test_a_study_may_not_be_called_as_a_folder_of_the_results(tmp_path):
    for name in ("logs", "benchmarks"):
        (tmp_path / f"{name}.yaml").write_text(STUDY)
        with pytest.raises(UserError, match="the results have a folder"):
            load_study(tmp_path / f"{name}.yaml")


@pytest.mark.parametrize("named", [".", "./", "./."])
def test_results_in_the_projects_own_folder(named):
    with pytest.raises(UserError, match="is the project's own folder"):
        Plan.from_config({"studies": ["himmelblau"], "results": named})


def test_a_constant_loss_is_degenerate_everywhere(user):
    """No derivative, no error: every weight is a critical point, and none is isolated."""
    model = MODEL.replace('(weights["w"] ** 2).sum(1) / 2', '(0 * weights["w"]).sum(1)')
    job = user(model=model)
    (points,) = store.read(job.batch_path("critical_points", 0)).values()
    kinds = points["kind"].attrs["flag_meanings"].split()
    assert {kinds[k] for k in points["kind"].values} == {"degenerate"}
    assert (points["nullity"] == 2).all()


@pytest.mark.parametrize("loss", ["torch.ones(len(weights['w']))", "7.0"])
def test_a_loss_that_does_not_see_its_weights(user, loss):
    model = MODEL.replace('self.sign * (weights["w"] ** 2).sum(1) / 2', loss)
    with pytest.raises(UserError) as caught:
        user(model=model)
    assert "model 'user_bowl'" in str(caught.value) and "\n" not in str(caught.value)


def test_a_hessian_that_is_not_finite_where_the_loss_is(user):
    """√|w| is finite at 0 and its second derivative is not."""
    model = MODEL.replace(
        'self.sign * (weights["w"] ** 2).sum(1) / 2', 'weights["w"].abs().sqrt().sum(1)'
    )
    study = STUDY.replace("{name: normal}", "{name: normal, variance: 0, bias_variance: 0}")
    job = user(study, model=model)
    (points,) = store.read(job.batch_path("critical_points", 0)).values()
    assert (points["index"] == -1).all() and (points["nullity"] == -1).all()
    assert (points["obstacle"] == 1).all() and points["max_eigenvalue"].isnull().all()


def test_a_class_beyond_the_outputs_is_named():
    loss = registry().get("losses", "cross_entropy")()
    with pytest.raises(ValueError, match="have the class 7; 4 outputs have the classes 0 to 3"):
        loss(torch.zeros(2, 3, 4), torch.tensor([0, 1, 7]))


def test_two_curved_valleys_of_one_loss_are_two_families(user):
    """Along the parabolas y = z² at x = 1 and x = −1 the loss vanishes."""
    valleys = (
        '(weights["w"][:, 0] ** 2 - 1) ** 2 + (weights["w"][:, 1] - weights["w"][:, 2] ** 2) ** 2'
    )
    model = MODEL.replace('self.sign * (weights["w"] ** 2).sum(1) / 2', valleys)
    study = STUDY.replace("{name: user_bowl}", "{name: user_bowl, size: 3}")
    job = user(study.replace("runs: 2", "runs: 12"), model=model)
    job, said = finished(job)
    points = job.read["critical_points"]
    found = set(zip(points["w"].values[:, 0].round(6), points["family"].values, strict=True))
    assert len(found) == 2 and {x for x, _ in found} == {1.0, -1.0}
    assert (points["joined"] == 1).all() and not any("several valleys" in text for text in said)
