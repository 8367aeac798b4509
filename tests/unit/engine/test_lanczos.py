"""Densities against exact spectra."""

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from nnflow.engine.lanczos import quadrature, stochastic_density

SIZE = 800


def spectra():
    random = np.random.default_rng(1)
    return {
        "outliers above a bulk": np.r_[
            random.normal(0, 0.1, SIZE - 8) ** 2, np.linspace(1.0, 10.0, 8)
        ],
        "both signs": random.normal(0.1, 1.0, SIZE),
        "power law": np.arange(1.0, SIZE + 1) ** -1.0 * random.choice([-1, 1], SIZE),
        "many zeros": np.r_[np.zeros(SIZE - 40), np.linspace(0.1, 3.0, 40)],
    }


def operator(values, seed=0):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))
    matrix = (turn * values) @ turn.T
    return lambda vector: matrix @ vector


def distance(nodes, weights, exact):
    """W1 between the mean density over the probes and a spectrum, in widths of the spectrum."""
    found = wasserstein_distance(
        nodes[weights > 0], exact, weights[weights > 0] / weights[weights > 0].sum()
    )
    return found / np.ptp(exact)


@pytest.mark.parametrize("name", spectra())
def test_a_density_is_near_the_exact_one(name):
    exact = spectra()[name]
    nodes, weights = stochastic_density(operator(exact), SIZE, steps=60, probes=10)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    # 1/steps is Gauss quadrature's share of W1, 1/√(probes·size) that of the random vectors
    assert distance(nodes, weights, exact) < 1 / 60
    alone = distance(nodes[:1], weights[:1], exact)
    assert alone < 1 / 60 + 1 / np.sqrt(SIZE)


def test_moments_are_those_of_the_start_vector():
    exact = spectra()["both signs"]
    product = operator(exact)
    start = np.random.default_rng(3).standard_normal(SIZE)
    nodes, weights = quadrature(product, start, 5)
    power, unit = start / np.linalg.norm(start), start / np.linalg.norm(start)
    for moment in range(10):  # exact up to degree 2·steps − 1
        assert (weights * nodes**moment).sum() == pytest.approx(unit @ power, rel=1e-9, abs=1e-12)
        power = product(power)


def test_no_eigenvalue_is_found_twice():
    """Ghosts are what Lanczos without reorthogonalization gives: copies of the outer ones."""
    exact = np.r_[np.linspace(0, 1e-3, SIZE - 1), 10.0]
    nodes, weights = quadrature(operator(exact), np.ones(SIZE), 60)
    assert (np.abs(nodes - 10) < 1e-6).sum() == 1
    assert weights.sum() == pytest.approx(1, abs=1e-13)


def test_an_exhausted_space_is_exact():
    nodes, weights = quadrature(lambda v: np.array([2.0, 2.0, 5.0]) * v, np.array([3.0, 4.0, 5]), 3)
    np.testing.assert_allclose(nodes, [2, 5, np.nan])
    np.testing.assert_allclose(weights, [0.5, 0.5, 0])
    nodes, weights = quadrature(lambda v: 0 * v, np.ones(4), 2)
    np.testing.assert_array_equal(nodes, [0, np.nan])


def test_more_probes_leave_the_first_as_they_are():
    product = operator(spectra()["power law"])
    few, many = (stochastic_density(product, SIZE, 10, probes) for probes in (2, 4))
    for short, long in zip(few, many, strict=True):
        np.testing.assert_array_equal(short, long[:2])
    told = []
    stochastic_density(product, SIZE, 3, 2, tell=lambda *counts: told.append(counts))
    assert told == [(1, 2), (2, 2)]
    assert stochastic_density(product, SIZE, 10 * SIZE, 1)[0].shape == (1, SIZE)


@pytest.mark.parametrize("steps", [0, 5])
def test_steps_that_do_not_fit_are_refused(steps):
    with pytest.raises(ValueError, match="between 1 and 4"):
        quadrature(lambda v: v, np.ones(4), steps)
