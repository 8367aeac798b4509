"""A stranger's model and optimizer: one file each, named in a study, and there are figures."""

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
