"""The stage spectrum: what classify found beside the dense Hessian, densities, other matrices."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from landscapes import Quadratic, normal_weights, objective_of

import nnflow
from nnflow.stages.spectrum import _compared, _dense, _quadrature
from nnflow.study.stage_settings import Classify, Quadrature

MODES = np.array([0, 1, -2, -1])
VALUES = [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("runs", "limit", "compared"), [(2, 5, True), (2, 4, False), (0, 5, False)]
)
def test_the_first_spectrum_is_compared_where_the_hessian_is_small_enough(runs, limit, compared):
    weights = normal_weights(runs, 5)
    known = np.tile([1.0, 2.0, 4.0, 5.0], (runs, 1))
    objective = objective_of(Quadratic(eigenvalues=VALUES), runs)
    found = xr.Dataset(_compared(objective, weights, (known, 0 * known), "run", limit, MODES))
    np.testing.assert_array_equal(found["eigenvalue"], known)
    expected = np.full((runs, 4), np.nan)
    if compared:
        expected[0] = known[0]
    np.testing.assert_allclose(found["dense_eigenvalue"], expected, atol=1e-14)


def test_runs_that_are_not_finite_have_no_spectrum():
    weights = normal_weights(3, 5)
    weights[1, 2] = np.nan
    objective = objective_of(Quadratic(eigenvalues=VALUES), 3)
    values, residuals = _dense(objective, weights, Classify())
    np.testing.assert_allclose(values, [VALUES, [np.nan] * 5, VALUES])
    assert np.isnan(residuals[1]).all() and np.isfinite(residuals[[0, 2]]).all()
    known = (np.ones((3, 4)),) * 2
    found = _compared(objective, weights, known, "run", 5, MODES)
    np.testing.assert_allclose(found["dense_eigenvalue"][1][0], [1, 2, 4, 5])


class Stop(Exception):
    """Somebody ends the job."""


def test_a_density_that_was_interrupted_goes_on_to_the_same_bits():
    weights = normal_weights(2, 5)
    weights[1, 0] = np.nan
    objective = objective_of(Quadratic(eigenvalues=VALUES), 2)
    settings = Quadrature(steps=3, probes=4)
    kept, computed = {}, []

    def pieces(name, compute, most=99):
        if name not in kept:
            if len(computed) == most:
                raise Stop
            computed.append(name)
            kept[name] = compute()
        return kept[name]

    def never(name, compute):
        return compute()

    whole = _quadrature(objective, weights, settings, never, print, "")
    with pytest.raises(Stop):
        _quadrature(objective, weights, settings, partial(pieces, most=2), print, "")
    found = _quadrature(objective, weights, settings, pieces, print, "")
    assert computed == [f"density 0 {number}" for number in range(4)]
    for again, once in zip(found, whole, strict=True):
        np.testing.assert_array_equal(again, once)
    assert np.isnan(found[0][1]).all() and not found[1][1].any()


STUDY = """
title: Networks that read digits
model: {name: mlp, widths: [64, 3, 10], activation: tanh, loss_function: cross_entropy}
dataset: {name: digits, samples: 40}
initializer: {name: normal, variance: 1, per: fan_in}
optimizer: {name: gradient_descent, rate: 0.1}
stop: {steps: 10}
trace: {weights: 2}
runs: 2
classify: {polish: none, dense_up_to: DENSE, extreme_eigenvalues: 3}
spectrum: {at: WHERE, curvature: gauss_newton, density: {steps: 30, probes: 2}}
"""


@pytest.mark.parametrize(("where", "dense"), [("runs", 1000), ("runs", 1), ("trace", 1)])
def test_gauss_newton_spectra_are_those_of_the_matrix(tmp_path, monkeypatch, where, dense):
    from nnflow.cli import app

    monkeypatch.chdir(tmp_path)
    Path("config/studies").mkdir(parents=True)
    text = STUDY.replace("DENSE", str(dense)).replace("WHERE", where)
    Path("config/studies/mine.yaml").write_text(text, encoding="utf-8")
    for stage in ("initialize", "train", "classify", "collect", "spectrum"):
        app([stage, "mine"], standalone_mode=False)
    spectra = nnflow.open("mine").at("spectra", "all")
    assert spectra["eigenvalue"].attrs["long_name"] == "eigenvalue of the Gauss-Newton matrix"
    found, nodes = spectra["eigenvalue"].values, spectra["density_node"].values
    if where == "trace":
        assert found.shape[1] == nodes.shape[1] > 1
        found, nodes = found[:, -1], nodes[:, -1]
    for run in range(2):
        landscape = nnflow.Landscape.of("mine", run=run)
        whole = landscape._curved("gauss_newton").hessian(landscape.weights)[0]
        exact = np.linalg.eigvalsh(whole.numpy())
        expected = exact if dense == 1000 else np.r_[exact[:3], exact[-3:]]
        np.testing.assert_allclose(found[run], expected, atol=1e-8 * exact[-1])
        np.testing.assert_allclose(nodes[run].max(), exact[-1], rtol=1e-6)
    if dense == 1 and where == "runs":
        compared = spectra["dense_eigenvalue"].values[0]
        np.testing.assert_allclose(found[0], compared, atol=1e-8 * exact[-1])
