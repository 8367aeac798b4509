"""Traces against exact ones."""

import numpy as np
import pytest

from nnflow.engine.trace import trace

SIZE, SEEDS = 400, 200


def spectra():
    random = np.random.default_rng(1)
    return {
        "outliers above a bulk": np.r_[
            random.normal(0, 0.1, SIZE - 8) ** 2, np.linspace(1.0, 10.0, 8)
        ],
        "power law": np.arange(1.0, SIZE + 1) ** -1.0,
        "both signs": random.normal(0.3, 1.0, SIZE),
        "one negative end": np.r_[-np.ones(3), random.uniform(0, 0.1, SIZE - 3)],
    }


def operator(values):
    turn, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((len(values),) * 2))
    matrix = (turn * values) @ turn.T
    return lambda vector: matrix @ vector


@pytest.mark.parametrize("name", spectra())
def test_the_interval_holds_the_exact_trace_in_99_of_100_seeds(name):
    exact, product = spectra()[name], operator(spectra()[name])
    found = [trace(product, SIZE, error=0.1, most=300, seed=seed) for seed in range(SEEDS)]
    inside = [one.low <= exact.sum() <= one.high for one in found]
    assert np.mean(inside) >= 0.99
    assert all(one.products <= 300 for one in found)
    # an interval that is too wide would hold it, too: the errors are no tenth of its half
    errors = np.array([abs(one.estimate - exact.sum()) for one in found])
    halves = np.array([(one.high - one.low) / 2 for one in found])
    assert errors.max() > 0.3 * np.median(halves)


def test_what_is_asked_for_is_reached_or_told():
    product = operator(spectra()["both signs"])
    assert not trace(product, SIZE, error=1e-6, most=90).converged
    exact = trace(product, SIZE, error=1e-6)
    assert exact.converged
    assert exact.estimate == pytest.approx(spectra()["both signs"].sum(), rel=1e-12)
    assert exact.low < spectra()["both signs"].sum() < exact.high
    easy = trace(operator(spectra()["power law"]), SIZE, error=0.1)
    assert easy.converged and easy.products < SIZE
    assert (easy.high - easy.low) / 2 <= 0.1 * abs(easy.estimate)


def test_products_are_counted():
    calls = []
    product = operator(spectra()["both signs"])

    def counted(vector):
        calls.append(1)
        return product(vector)

    told = []
    found = trace(counted, SIZE, error=0.2, most=240, tell=lambda used, most: told.append(used))
    assert found.products == len(calls) == told[-1]


def test_low_rank_is_exact_at_once():
    values = np.r_[np.zeros(SIZE - 5), [1.0, 2.0, 3.0, 4.0, -2.0]]
    found = trace(operator(values), SIZE, error=1e-9)
    assert found.estimate == pytest.approx(8.0, abs=1e-10)
    assert found.products <= 60 and found.converged
    assert trace(lambda v: 0 * v, SIZE).estimate == 0


@pytest.mark.parametrize(("error", "most"), [(0, 100), (0.1, 2)])
def test_what_can_not_be_is_refused(error, most):
    with pytest.raises(ValueError, match="must be positive"):
        trace(lambda v: v, SIZE, error, most)
