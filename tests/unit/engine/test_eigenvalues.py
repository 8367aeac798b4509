"""Eigenvalues against spectra that are known because the matrices are built from them."""

import numpy as np
import pytest
import torch

from nnflow.checks.contract_tests import optimizer_problem
from nnflow.engine.eigenvalues import (
    TOLERANCE,
    dense_eigenvalues,
    ends_of_spectra,
    extreme_eigenvalues,
    nothing_below,
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


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-8])
def test_no_more_is_spent_than_the_tolerance_asks_for(tolerance):
    exact = np.concatenate([np.linspace(0, 1, 1990), np.linspace(10, 100, 10)])
    ends = extreme_eigenvalues(lambda v: exact * v, len(exact), 0, 4, tolerance=tolerance)
    assert ends.converged and ends.highest_residual.max() <= tolerance * 100
    finer = extreme_eigenvalues(lambda v: exact * v, len(exact), 0, 4, tolerance=tolerance / 100)
    assert ends.products < finer.products < 60
    assert_near_an_eigenvalue(ends.highest, ends.highest_residual, exact)


@pytest.mark.parametrize("counts", [(3, 0), (0, 3), (2, 2)])
def test_a_basis_that_does_not_fit_is_shrunk_and_the_ends_are_the_same(counts):
    """Room for 26 vectors or fewer, where some hundred would be needed."""
    exact = np.linspace(-1, 3, 700) ** 3
    free, tight = (
        extreme_eigenvalues(lambda v: exact * v, 700, *counts, memory=memory)
        for memory in (2**30, 26 * 8 * 700)
    )
    assert tight.converged and free.first > 60 and tight.first == 26
    assert tight.products > free.products
    for one in (free, tight):
        np.testing.assert_allclose(one.lowest, exact[: counts[0]], atol=1e-12 * 27)
        np.testing.assert_allclose(one.highest, exact[700 - counts[1] :], atol=1e-12 * 27)
        true = np.linalg.norm(
            exact[:, None] * one.vectors - one.vectors * np.r_[one.lowest, one.highest], axis=0
        )
        np.testing.assert_allclose(
            np.r_[one.lowest_residual, one.highest_residual], true, atol=1e-13 * 27
        )


def test_residuals_are_those_of_the_products_symmetric_or_not():
    """A product in low precision is neither linear nor symmetric."""
    exact, noise = np.linspace(0, 4, 600), np.random.default_rng(3)

    def product(vector):
        image = exact * vector
        return image + 1e-5 * np.linalg.norm(image) * noise.standard_normal(600) / np.sqrt(600)

    ends = extreme_eigenvalues(product, 600, 1, 2)
    residuals = np.r_[ends.lowest_residual, ends.highest_residual]
    assert not ends.converged and np.all((residuals > 1e-7) & (residuals < 1e-3))
    assert_near_an_eigenvalue(np.r_[ends.lowest, ends.highest], residuals, exact)


def test_nothing_is_below_what_is_said_and_more_steps_say_more():
    """An outermost eigenvalue that a few steps can't see; over many start vectors."""
    exact = np.r_[-1e-3, np.linspace(0, 1, 1999)]
    floors = []
    for least in (5, 100, 400):
        found = [
            extreme_eigenvalues(
                lambda v: exact * v, 2000, 1, 0, seed=seed, tolerance=1.0, least=least
            )
            for seed in range(20)
        ]
        assert all(ends.first == least for ends in found)
        floors.append(max(nothing_below(ends, 2000) for ends in found))
        assert floors[-1] <= exact[0] <= min(ends.lowest[0] for ends in found) + 1e-12
    assert floors[0] == -np.inf and floors[1] < floors[2] - 5e-3 and floors[2] > -4e-3


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


def test_the_ends_of_many_spectra_are_those_of_each_hessian_and_of_none():
    """Least squares has one Hessian; where all runs have ended there are no spectra."""
    objective, weights = optimizer_problem(registry().get("optimizers", "gradient_descent")(rate=1))
    exact = np.linalg.eigvalsh(objective.hessian(weights).numpy())
    values, residuals, vectors, floor = ends_of_spectra(objective, weights, 1)
    np.testing.assert_allclose(values, exact[:, [0, -1]], rtol=1e-12)
    assert residuals.shape == (len(weights), 2) and residuals.max() < 1e-12
    hessians = objective.hessian(weights).numpy()
    np.testing.assert_allclose(hessians @ vectors, vectors * values[:, None], atol=1e-12)
    np.testing.assert_allclose(floor, exact[:, 0], atol=1e-12)  # formed: nothing is missed
    none = ends_of_spectra(objective.take(np.arange(0)), weights[:0], 2)
    assert [part.shape for part in none] == [(0, 4), (0, 4), (0, weights.shape[1], 4), (0,)]


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
