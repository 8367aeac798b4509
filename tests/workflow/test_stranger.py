"""What a stranger adds: files of his own, named in studies, and there are figures."""

from __future__ import annotations

import pytest

MODEL = '''
"""A double well."""

import nnflow
from nnflow import Model


class DoubleWell(Model):
    """L(w) = (w₁² − 1)²/4 + w₂²/2: minima at (±1, 0), a saddle at 0."""

    def shapes(self):
        return {"w": (2,)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        w = weights["w"]
        return (w[:, 0] ** 2 - 1) ** 2 / 4 + w[:, 1] ** 2 / 2


@nnflow.hookimpl
def nnflow_register_models(register):
    register("double_well", DoubleWell)
'''

OPTIMIZER = '''
"""Sign descent with a falling step."""

import nnflow
from nnflow import Optimizer, torch


class SignDescent(Optimizer):
    """W⁺ = W − α_t sign ∇L(W), α_t = 0.1/(1 + t/10)."""

    def start(self, weights, scale):
        return {"step": torch.zeros_like(scale), "scale": scale}

    def step(self, objective, weights, state):
        rate = 0.1 * state["scale"] / (1 + state["step"] / 10)
        moved = weights - rate[:, None] * torch.sign(objective.gradient(weights))
        return moved, {**state, "step": state["step"] + 1}


@nnflow.hookimpl
def nnflow_register_optimizers(register):
    register("sign_descent", SignDescent)
'''

STUDY = """
title: A stranger's study
model: {name: double_well}
initializer: {name: normal}
optimizer: {name: sign_descent}
stop: {gradient_norm: 1.0e-4, steps: 3000}
runs: 20
analyses: [ends]
figures: [ends_figure]
"""


@pytest.mark.slow
def test_two_files_and_a_study_are_enough(project, tmp_path_factory):
    folder = tmp_path_factory.mktemp("strangers")
    for kind, name, text in (
        ("models", "double_well", MODEL),
        ("optimizers", "sign_descent", OPTIMIZER),
    ):
        (folder / kind).mkdir()
        (folder / kind / f"{name}.py").write_text(text, encoding="utf-8")
    project.study("stranger", STUDY)
    options = ("--cores", "2", "--config", "studies=stranger")
    done = project.snakemake(*options, NNFLOW_PLUGINS=str(folder))
    assert done.returncode == 0, done.stderr
    results = project.folder / "results" / "quick" / "stranger"
    assert (results / "figures" / "ends_figure.svg").exists()

    from nnflow.base import store

    (ends,) = store.read(results / "critical_points.nc").values()
    assert (ends["kind"].values == 0).all()
    assert set(ends["family"].values) == {0, 1}
    assert abs(abs(ends["w"].values[:, 0]) - 1).max() < 1e-9


EVERYTHING = '''
"""A model, what is asked of it, and how it is drawn."""

import nnflow
from nnflow import Analysis, Figure, Model, Table


class Trough(Model):
    """L(w) = ½(w₁² + 4w₂²)."""

    def shapes(self):
        return {"w": (2,)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        w = weights["w"]
        return (w[:, 0] ** 2 + 4 * w[:, 1] ** 2) / 2


class RatesThatConverge(Analysis):
    """By run: does it converge?"""

    needs = ("training",)
    models = ("trough",)
    columns = {"largest_rate": "largest learning rate that converges", "runs": "runs"}

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, trained in results.each("training"):
            converged = nnflow.flag_mask(trained["status"], "converged")
            rates = trained["rate"].values[converged]
            table.row(configuration, largest_rate=rates.max(), runs=len(converged))
        return table.dataset()


class RatesDrawn(Figure):
    """The largest rate."""

    needs = ("rates_that_converge",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, axis = plt.subplots()
        axis.plot(results["rates_that_converge"]["largest_rate"].values, "o")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("trough", Trough)
    register("rates_that_converge", RatesThatConverge)
    register("rates_drawn", RatesDrawn)
'''

MANY = """
title: Which of ten thousand learning rates converge
model: trough
initializer: normal
optimizer: gradient_descent
vary: {optimizer.rate: {from: 0.0001, to: 1, count: 10000}}
stop: {gradient_norm: 1.0e-6, steps: 1000}
judge: false
runs: 1
batch: 5000
analyses: [rates_that_converge]
figures: [rates_drawn]
"""

AGAIN = """
title: From the same starts, with momentum
uses: [many]
model: trough
initializer: {name: from_study, study: many, at: initialization}
optimizer: {name: heavy_ball}
vary: {optimizer.rate: [0.1, 0.5]}
stop: {gradient_norm: 1.0e-6, steps: 1000}
runs: 3
analyses: [rates_that_converge]
figures: [rates_drawn]
"""


@pytest.mark.slow
def test_one_file_and_two_studies_one_of_which_uses_the_other(project):
    """Nothing else is touched: the file lies directly in plugins/."""
    project.write("plugins/mine.py", EVERYTHING)
    project.study("many", MANY)
    project.study("again", AGAIN)
    done = project.snakemake("--cores", "2", "--config", "studies=again,many")
    assert done.returncode == 0, done.stderr

    from nnflow.base import store

    results = project.folder / "results" / "quick"
    (column,) = store.read(results / "many" / "analyses" / "rates_that_converge.nc").values()
    # curvatures 1 and 4: α < ½ converges, at ½ the second weight swings for ever
    assert 0.49 < column["largest_rate"].item() < 0.5 and column["runs"].item() == 10_000
    (many,) = store.read(results / "many" / "initialization.nc").values()
    (again,) = store.read(results / "again" / "initialization.nc").values()
    assert again.sizes["run"] == 6 and (again["w"].values == many["w"].values[0]).all()
    (column,) = store.read(results / "again" / "analyses" / "rates_that_converge.nc").values()
    assert column["largest_rate"].item() == 0.5  # 4α < 2(1 + β)
    for study in ("many", "again"):
        assert (results / study / "figures" / "rates_drawn.svg").exists()
