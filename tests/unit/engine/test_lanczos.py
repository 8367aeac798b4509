"""Densities against exact spectra."""

import tracemalloc

import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from nnflow.engine.lanczos import quadrature, stochastic_density
from nnflow.engine.trace import trace

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


@pytest.mark.parametrize("name", spectra())
def test_without_a_basis_the_density_is_the_same(name):
    """Orthogonality is lost: copies come, and are joined."""
    exact = spectra()[name]
    full, bare = (
        stochastic_density(operator(exact), SIZE, 120, 3, memory=memory) for memory in (10**9, 0)
    )
    np.testing.assert_allclose(bare[1].sum(axis=1), 1, atol=1e-12)
    for probe in range(3):
        there, here = ((nodes[probe], weights[probe]) for nodes, weights in (full, bare))
        apart = wasserstein_distance(
            *(nodes[weights > 0] for nodes, weights in (there, here)),
            *(weights[weights > 0] for _, weights in (there, here)),
        )
        assert apart < np.ptp(exact) / 120  # as far apart as quadratures of 120 nodes may be
    assert distance(bare[0].ravel(), bare[1].ravel(), exact) < 1 / 60


def test_copies_are_joined():
    exact = np.r_[np.linspace(0, 1e-3, SIZE - 1), 10.0]
    start = np.random.default_rng(0).standard_normal(SIZE)
    nodes, weights = quadrature(operator(exact), start, 60, memory=0)
    near = np.abs(nodes - 10) < 1e-6
    full_nodes, full_weights = quadrature(operator(exact), start, 60)
    assert near.sum() == 1
    assert weights[near] == pytest.approx(full_weights[np.abs(full_nodes - 10) < 1e-6], rel=1e-9)
    assert weights.sum() == pytest.approx(1, abs=1e-12)
    assert np.isnan(nodes[weights == 0]).all()


def test_memory_is_what_was_allowed():
    size, steps = 200_000, 40
    values = np.linspace(1.0, 2.0, size)
    start = np.ones(size)
    tracemalloc.start()
    quadrature(lambda v: values * v, start, steps, memory=8 * size * steps - 1)
    _, bare = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    quadrature(lambda v: values * v, start, steps)
    _, full = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert bare < 10 * 8 * size < 8 * size * steps < full


@pytest.mark.slow
@pytest.mark.parametrize("name", ["outliers above a bulk", "power law"])
def test_five_thousand_weights(name):
    """W1 from the exact spectrum, and the trace inside its interval in 99 of 100 seeds."""
    size, random = 5000, np.random.default_rng(4)
    exact = {
        "outliers above a bulk": np.r_[
            random.normal(0, 0.1, size - 10) ** 2, np.linspace(1.0, 10.0, 10)
        ],
        "power law": np.arange(1.0, size + 1) ** -1.0 * random.choice([-1, 1], size),
    }[name]
    product = reflected(exact)
    for memory in (10**9, 0):
        nodes, weights = stochastic_density(product, size, 80, 10, memory=memory)
        assert distance(nodes.ravel(), weights.ravel(), exact) < 1 / 80
    found = [trace(product, size, error=0.2, most=240, seed=seed) for seed in range(200)]
    assert np.mean([one.low <= exact.sum() <= one.high for one in found]) >= 0.99


def reflected(values):
    """A full matrix with these eigenvalues by two reflections, whose product costs O(size)."""
    turns = [v / np.linalg.norm(v) for v in np.random.default_rng(0).normal(size=(2, len(values)))]

    def product(vector):
        for turn in turns:
            vector = vector - 2 * turn * (turn @ vector)
        vector = values * vector
        for turn in reversed(turns):
            vector = vector - 2 * turn * (turn @ vector)
        return vector

    return product


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
