"""The same studies on a GPU and on the CPU. tests/unit/test_devices.py needs no GPU."""

import dataclasses

import numpy as np
import pytest
import torch
from networks import problem
from studies import complete

from nnflow.engine.eigenvalues import extreme_eigenvalues
from nnflow.engine.lanczos import stochastic_density
from nnflow.engine.objective import numpy_product
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

RUNS = 50
ALIKE = 0.95
"""Rounding differs between devices, and may send a run that passes a saddle to another minimum."""


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
@pytest.mark.parametrize("name", ["himmelblau", "spurious_minima", "two_relu_minimum"])
def test_a_gpu_finds_what_the_cpu_finds(name, root, tmp_path):
    whole = load_study(study_file(f"{name}", root / "config/studies"))
    settings = whole.settings.model_copy(update={"analyses": {}, "figures": {}, "claims": []})
    configurations = tuple(
        dataclasses.replace(
            configuration, settings=configuration.settings.model_copy(update={"runs": RUNS})
        )
        for configuration in whole.configurations[:2]
    )
    study = dataclasses.replace(whole, settings=settings, configurations=configurations)
    here, there = (complete(study, tmp_path / str(gpus), gpus).read for gpus in (0, 1))
    for (configuration, first), (_, second) in zip(
        here.each("training"), there.each("training"), strict=True
    ):
        # before any run can have crossed a saddle the trajectories agree
        early = first["trace_step"].values <= 100
        np.testing.assert_allclose(
            first["trace_loss"].values[:, early], second["trace_loss"].values[:, early], rtol=1e-9
        )
        ends = [results.at("critical_points", configuration.label) for results in (here, there)]
        same = ends[0]["kind"].values == ends[1]["kind"].values
        same &= np.abs(ends[0]["loss"].values - ends[1]["loss"].values) < 1e-9
        assert same.mean() >= ALIKE


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_curvature_and_the_trust_region_on_a_gpu_are_those_on_the_cpu():
    objective, weights = problem(widths=[5, 8, 3])
    found = []
    for device in ("cpu", "cuda"):
        data = {name: array.to(device) for name, array in objective.data.items()}
        here, at = dataclasses.replace(objective, data=data), weights.to(device)
        plugin = registry().get("optimizers", "trust_region")()
        state = plugin.start(at, torch.ones_like(at[:, 0]))
        moved, _ = plugin.step(here, at, state)
        product = numpy_product(here.take(np.array([0])), at[:1])
        ends = extreme_eigenvalues(product, at.shape[1], 2, 3)
        nodes, shares = stochastic_density(product, at.shape[1], 10, 2)
        found.append((ends.lowest, ends.highest, nodes, shares, moved.cpu().numpy()))
    for first, second in zip(*found, strict=True):
        np.testing.assert_allclose(second, first, rtol=1e-8, atol=1e-10)
