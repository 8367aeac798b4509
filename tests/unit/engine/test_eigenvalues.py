"""Eigenvalues against spectra that are known because the matrices are built from them."""

import numpy as np
import pytest
import torch

from nnflow.checks.contract_tests import optimizer_problem
from nnflow.engine import eigenvalues
from nnflow.engine.eigenvalues import (
    TOLERANCE,
    _ritz,
    dense_eigenvalues,
    ends_of_spectra,
    extreme_eigenvalues,
    power_norm,
)
from nnflow.interfaces.registry import registry

rng = np.random.default_rng(20)


def with_spectrum(values):
    """A symmetric matrix with these eigenvalues in a random basis."""
    basis, _ = np.linalg.qr(rng.standard_normal((len(values), len(values))))
    matrix = (basis * values) @ basis.T
    return (matrix + matrix.T) / 2


def network_like(size):
    """A few outliers, a bulk that decays into zero, a cluster at zero, small negatives."""
    zeros, negatives = np.zeros(size // 20), -(10.0 ** -np.linspace(2, 6, size // 20))
    outliers = np.linspace(1, 20, 10)
    bulk = 10.0 ** np.linspace(-8, -1, size - 10 - 2 * (size // 20))
    return np.sort(np.concatenate([zeros, negatives, bulk, outliers]))


SPECTRA = {
    "spread": np.linspace(-1, 3, 400),
    "network_like": network_like(600),
    "multiple": np.repeat([-2.0, 0.0, 5.0], [3, 394, 3]),
    "tiny": 1e-9 * np.linspace(-1, 3, 400),
    "formed": np.linspace(-1, 1, 12),
}


def assert_near_an_eigenvalue(found, residuals, exact):
    """Each number lies within its residual, and rounding, of an eigenvalue."""
    distance = np.abs(found[:, None] - exact).min(axis=1)
    assert np.all(distance <= residuals + 1e-13 * np.abs(exact).max())


@pytest.mark.parametrize("name", SPECTRA)
def test_both_ends_are_found_and_the_residuals_bound_the_errors(name):
    exact = SPECTRA[name]
    matrix, norm = with_spectrum(exact), np.abs(exact).max()
    ends = extreme_eigenvalues(lambda v: matrix @ v, len(exact), 3)
    assert ends.converged
    np.testing.assert_allclose(ends.lowest, exact[:3], atol=1e-12 * norm)
    np.testing.assert_allclose(ends.highest, exact[-3:], atol=1e-12 * norm)
    for found, residuals in (
        (ends.lowest, ends.lowest_residual),
        (ends.highest, ends.highest_residual),
    ):
        assert_near_an_eigenvalue(found, residuals, exact)
        assert np.all(residuals <= TOLERANCE * norm)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_end_inside_a_cluster_is_known_to_its_residual(sign):
    exact = np.sort(sign * np.geomspace(1e-6, 1, 3000))
    ends = extreme_eigenvalues(lambda v: exact * v, len(exact), 3)
    assert not ends.converged
    inner, residuals = (
        (ends.lowest, ends.lowest_residual) if sign > 0 else (ends.highest, ends.highest_residual)
    )
    assert np.isfinite(inner).all()
    assert_near_an_eigenvalue(inner, residuals, exact)
    assert np.all(residuals < 2e-2)
    # Rayleigh quotients come from inside the spectrum
    assert np.all(np.abs(inner) >= 1e-6)


@pytest.mark.parametrize("factor", [0.0, 1.0, -3.0])
def test_multiples_of_the_identity(factor):
    ends = extreme_eigenvalues(lambda v: factor * v, 500, 2)
    assert ends.converged
    np.testing.assert_allclose(ends.lowest, factor, atol=1e-13)
    np.testing.assert_allclose(ends.highest, factor, atol=1e-13)


def test_the_same_seed_gives_the_same_bits():
    matrix = with_spectrum(SPECTRA["network_like"])
    first, second = (extreme_eigenvalues(lambda v: matrix @ v, 600, 4) for _ in range(2))
    np.testing.assert_array_equal(first.lowest, second.lowest)
    np.testing.assert_array_equal(first.highest, second.highest)
    assert first.products == second.products


def test_what_did_not_converge_is_missing_and_said(monkeypatch):
    monkeypatch.setattr(eigenvalues, "SEARCHES", ((1e-9, 4, 1),))
    exact = np.concatenate([np.linspace(0, 1, 1990), np.linspace(10, 100, 10)])
    matrix = np.diag(exact)
    ends = extreme_eigenvalues(lambda v: matrix @ v, len(exact), 2)
    assert not ends.converged
    assert np.isnan(ends.lowest).any()
    assert np.isnan(ends.lowest_residual).sum() == np.isnan(ends.lowest).sum()
    np.testing.assert_allclose(ends.highest, exact[-2:], rtol=1e-12)


@pytest.mark.parametrize("count", [0, 13])
def test_a_count_that_cannot_be_met_is_refused(count):
    with pytest.raises(ValueError, match="between 1 and 12"):
        extreme_eigenvalues(lambda v: v, 12, count)


def test_dense_eigenvalues_of_a_batch_with_their_residuals():
    spectra = np.stack([np.linspace(-1, 1, 30), np.geomspace(1e-9, 1, 30)])
    matrices = torch.from_numpy(np.stack([with_spectrum(values) for values in spectra]))
    values, residuals = dense_eigenvalues(matrices)
    np.testing.assert_allclose(values.numpy(), spectra, atol=1e-14)
    assert residuals.shape == values.shape
    assert 0 < residuals.max() < 1e-13


@pytest.mark.parametrize(("side", "expected"), [(-1, [1, 2, np.nan]), (1, [np.nan, 8, 9])])
def test_missing_eigenvalues_are_missing_at_the_inner_end(side, expected):
    """Two vectors where three were wanted."""
    exact = np.array([1.0, 2.0, 5.0, 8.0, 9.0])
    vectors = np.eye(5)[:, [0, 1] if side < 0 else [3, 4]]
    values, residuals, found = _ritz(lambda v: exact * v, vectors, side, 3)
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(np.isnan(residuals), np.isnan(expected))
    np.testing.assert_array_equal(np.isnan(found), np.isnan(np.tile(expected, (5, 1))))
    known = np.isfinite(expected)
    np.testing.assert_allclose(exact[:, None] * found[:, known], found[:, known] * values[known])


def test_the_ends_of_many_spectra_are_those_of_each_hessian_and_of_none():
    """Least squares has one Hessian; where all runs have ended there are no spectra."""
    objective, weights = optimizer_problem(registry().get("optimizers", "gradient_descent")(rate=1))
    exact = np.linalg.eigvalsh(objective.hessian(weights).numpy())
    values, residuals, vectors = ends_of_spectra(objective, weights, 1)
    np.testing.assert_allclose(values, exact[:, [0, -1]], rtol=1e-12)
    assert residuals.shape == (len(weights), 2) and residuals.max() < 1e-12
    hessians = objective.hessian(weights).numpy()
    np.testing.assert_allclose(hessians @ vectors, vectors * values[:, None], atol=1e-12)
    none = ends_of_spectra(objective.take(np.arange(0)), weights[:0], 2)
    assert [part.shape for part in none] == [(0, 4), (0, 4), (0, weights.shape[1], 4)]


@pytest.mark.parametrize("size", [12, 600])
@pytest.mark.parametrize("counts", [(0, 3), (3, 0), (1, 2)])
def test_each_end_may_be_asked_for_alone(size, counts):
    exact, told = np.linspace(-1, 5, size), []
    ends = extreme_eigenvalues(lambda v: exact * v, size, *counts, tell=told.append)
    np.testing.assert_allclose(ends.lowest, exact[: counts[0]], atol=1e-8)
    np.testing.assert_allclose(ends.highest, exact[size - counts[1] :], atol=1e-8)
    assert ends.converged and ends.vectors.shape == (size, 3)
    assert told[-1] == f"{ends.products} products of the Hessian"


def test_one_end_costs_less_than_both():
    exact = np.concatenate([np.linspace(0, 1, 1980), np.linspace(2, 20, 20)])
    both = extreme_eigenvalues(lambda v: exact * v, 2000, 4)
    alone = extreme_eigenvalues(lambda v: exact * v, 2000, 0, 4)
    np.testing.assert_allclose(alone.highest, both.highest, rtol=1e-12)
    assert alone.products < both.products / 2


def test_norms_of_many_operators_by_the_power_method():
    diagonals = torch.tensor([[3.0, -7.0, 0.5], [0.0, 0.0, 0.0], [1e-9, 0, 2e-9]])
    norms = power_norm(lambda v: diagonals * v, torch.ones_like(diagonals))
    np.testing.assert_allclose(norms, [7, 0, 2e-9], rtol=1e-2)
