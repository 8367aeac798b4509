"""Spectral densities: exact ones against traces, and their curve against quadrature."""

from __future__ import annotations

import numpy as np
import pytest

import nnflow
from nnflow.engine import density


def spectra():
    root = np.random.default_rng(1).standard_normal((3, 6, 6))
    hessian = root + root.transpose(0, 2, 1)
    return hessian, np.linalg.eigvalsh(hessian)


def test_moments_are_traces():
    hessian, values = spectra()
    nodes, weights = density.exact(values)
    assert nodes.shape == weights.shape == (3, 1, 6)
    power = np.broadcast_to(np.eye(6), hessian.shape)
    for k in range(6):
        moment = (weights * nodes**k).sum(axis=2)[:, 0]
        np.testing.assert_allclose(moment, np.trace(power, axis1=1, axis2=2) / 6, rtol=1e-12)
        power = power @ hessian


def test_spectra_along_trajectories_have_a_further_axis():
    values = np.arange(24.0).reshape(2, 4, 3)
    written = density.variables(("run", "kept_step"), *density.exact(values))
    assert written["density_node"][0] == ("run", "kept_step", "probe", "node")
    assert written["density_weight"][1].shape == (2, 4, 1, 3)


def test_missing_eigenvalues_weigh_nothing():
    values = np.array([[1.0, 2.0, np.nan], [np.nan] * 3])
    nodes, weights = density.exact(values)
    assert weights[:, 0].tolist() == [[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]
    grid = np.linspace(-5, 8, 2001)
    curve = nnflow.density(nodes, weights, grid, 0.3)
    assert np.trapezoid(curve[0], grid) == pytest.approx(1, abs=1e-9)
    assert not curve[1].any()


def test_the_curve_integrates_to_one_and_keeps_mean_and_variance():
    _, values = spectra()
    nodes, weights = density.exact(values)
    grid, width = np.linspace(-30, 30, 20001), 0.5
    curve = nnflow.density(nodes, weights, grid, width)
    assert curve.shape == (3, len(grid))
    np.testing.assert_allclose(np.trapezoid(curve, grid), 1, rtol=1e-10)
    mean = np.trapezoid(curve * grid, grid)
    np.testing.assert_allclose(mean, values.mean(axis=1), atol=1e-10)
    spread = np.trapezoid(curve * grid**2, grid) - mean**2
    np.testing.assert_allclose(spread, values.var(axis=1) + width**2, rtol=1e-9)


def test_probes_are_averaged():
    nodes = np.array([[[0.0], [4.0]]])
    curve = nnflow.density(nodes, np.ones_like(nodes), np.array([0.0, 2.0, 4.0]), 0.1)
    top = 1 / (0.1 * np.sqrt(2 * np.pi))
    np.testing.assert_allclose(curve[0], [top / 2, 0, top / 2], atol=1e-12)


@pytest.mark.parametrize("width", [0.0, -1.0, np.nan])
def test_a_width_that_is_none_is_refused(width):
    with pytest.raises(ValueError, match="width must be positive"):
        nnflow.density(np.zeros((1, 1)), np.ones((1, 1)), np.zeros(3), width)


def test_variables_with_their_coordinates():
    _, values = spectra()
    written = density.variables(("family",), *density.exact(values))
    assert written["density_node"][0] == ("family", "probe", "node")
    assert written["density_weight"][2]["units"] == "1"
    assert written["node"][1].tolist() == list(range(6))
    with pytest.raises(ValueError, match="sum to 1"):
        density.variables(("run",), values[:, None], np.ones((3, 1, 6)))
