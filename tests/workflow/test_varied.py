"""A map of 10,000 learning rates, and a study that goes on from it."""

from __future__ import annotations

import numpy as np
import pytest

from nnflow.base import store

RATES = """
title: Which rates converge
model: {name: bowl}
initializer: {name: normal}
optimizer: gradient_descent
vary: {optimizer.rate: {from: 0.0002, to: 2, count: 10000}}
stop: {gradient_norm: 1.0e-6, steps: 500}
trace: {weights: 2}
spectrum: {at: trace, most: 3}
runs: 1
batch: 4000
"""
AFTER = """
title: Where they end, a little moved
uses: [rates]
model: {name: bowl}
initializer: {name: from_study, study: rates, at: initialization}
optimizer: {name: heavy_ball, rate: 0.1}
vary: {initializer.noise: [0.0, 0.5], optimizer.momentum: [0.0, 0.9]}
stop: {steps: 3}
runs: 2
"""


@pytest.mark.slow
def test_ten_thousand_rates_and_a_study_that_uses_them(project):
    project.fill()
    (project.folder / "config/studies/valley.yaml").unlink()
    project.study("rates", RATES)
    project.study("after", AFTER)
    done = project.snakemake("--cores", "2", "--config", "studies=after")
    assert done.returncode == 0, done.stderr
    folder = project.folder / "results" / "quick"
    (rates,) = store.read(folder / "rates" / "training.nc").values()
    assert rates.sizes["run"] == 10_000
    # curvatures 1 and 2: α < 1 converges, if 500 steps are enough: |1 − α|^500 and |1 − 2α|^500
    alpha, status = rates["rate"].values, rates["status"].values
    np.testing.assert_array_equal(alpha, np.linspace(0.0002, 2, 10_000))
    assert (status[(alpha > 0.05) & (alpha < 0.95)] == 0).all()
    assert (status[alpha > 1.02] == 2).all()
    # all settings begin at the same start, and move by −α∇L in the first step
    first, second = np.moveaxis(rates["kept_w"].values[:, :2], 1, 0)
    assert (first == first[0]).all()
    curvature = np.array([1.0, 2.0])
    np.testing.assert_allclose(second, first * (1 - alpha[:, None] * curvature), atol=1e-15)
    (spectra,) = store.read(folder / "rates" / "spectra.nc").values()
    assert spectra["rate"].values.tolist() == [alpha[0], alpha[5000], alpha[-1]]
    np.testing.assert_allclose(spectra["eigenvalue"].values[:, 0], [[1, 2]] * 3, rtol=1e-12)
    (after,) = store.read(folder / "after" / "initialization.nc").values()
    assert after.sizes["run"] == 8 and set(after.coords) >= {"noise", "momentum", "start"}
    still = after["noise"].values == 0
    assert (after["w"].values[still] == first[0]).all()
    assert (after["w"].values[~still] != first[0]).all()
    # other numbers are other settings: what depends on them is made anew
    made = {"initialize", "train", "classify", "spectrum"}
    assert not made & {rule for rule, study in project.planned() if study == "rates"}
    project.edit("config/studies/rates.yaml", "to: 2,", "to: 1,")
    assert made <= {rule for rule, study in project.planned() if study == "rates"}


BOTH = """
title: Bowls that start from those of another study, and are analyzed as they are
uses: [valley]
model: {name: bowl}
initializer: {name: from_study, study: valley, at: initialization, configuration: steepness=1}
optimizer: {name: gradient_descent, rate: 0.1}
analyses: [ends]
runs: 2
"""


def test_a_study_and_one_that_it_uses_may_both_have_analyses(project):
    """Each study is a group of its own, as the second starts when the first is analyzed."""
    project.study("both", BOTH)
    done = project.snakemake("--cores", "1", "--dry-run", "--config", "studies=both")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "analyze_both" in done.stdout + done.stderr
