"""Negative eigenvalues by a factorization, against spectra that are known."""

import numpy as np
import pytest
import torch
from landscapes import Quadratic, objective_of

from nnflow.engine import factorization, judging
from nnflow.engine.factorization import BLOCK, Inertia, inertia_of_shifted
from nnflow.engine.judging import judged
from nnflow.study.stage_settings import Classify

SIZE = 2 * BLOCK + 30
SPECTRA = {
    "positive, beside zero": np.r_[np.full(SIZE - 5, 1e-6), 0.1, 0.2, 1.0, 2.0, 3.0],
    "many zeros": np.r_[np.zeros(SIZE - 40), np.linspace(0.1, 3.0, 40)],
    "a negative one below a cluster": np.r_[-1e-5, np.full(SIZE - 2, 1e-5), 1.0],
    "both signs": np.random.default_rng(1).normal(0.2, 1.0, SIZE),
    "negative": -np.linspace(0.1, 1.0, SIZE),
}


def matrix(values, seed=0):
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values),) * 2))
    whole = (turn * values) @ turn.T
    return (whole + whole.T) / 2


@pytest.mark.parametrize("name", SPECTRA)
def test_as_many_are_negative_as_there_are(name):
    values = SPECTRA[name]
    whole, shift = matrix(values), 1e-7
    found = inertia_of_shifted(lambda vector: whole @ vector, SIZE, shift)
    assert found.negative == (values < -shift).sum()
    assert found.error < shift / 2


def test_the_shift_is_counted_from():
    values = np.linspace(-1.0, 1.0, SIZE)
    whole = matrix(values)
    for shift in (-0.5, 0.3):
        found = inertia_of_shifted(lambda vector: whole @ vector, SIZE, shift)
        assert found.negative == (values < -shift).sum()


def test_the_error_holds_what_the_product_is_off_by():
    """A product that is not symmetric, and one that is noisy: the error is as large."""
    whole = matrix(SPECTRA["both signs"])
    skew = np.triu(np.ones((SIZE, SIZE)), 1) * 1e-6
    found = inertia_of_shifted(lambda vector: (whole + skew) @ vector, SIZE, 0.0)
    assert found.error >= np.linalg.norm(skew, 2) / 2
    noise = np.random.default_rng(0)

    def noisy(vector):
        return whole @ vector + 1e-6 * noise.standard_normal(SIZE)

    assert inertia_of_shifted(noisy, SIZE, 0.0).error > 1e-5


def test_the_error_holds_what_the_factors_of_a_block_miss_by(monkeypatch):
    """Eigenvectors of a block that are off by 1e-4, and random vectors that do not see it."""
    whole = matrix(SPECTRA["positive, beside zero"]) + np.eye(SIZE)
    eigh = torch.linalg.eigh

    def crooked(block):
        values, vectors = eigh(block)
        return values, vectors + 1e-4

    monkeypatch.setattr(torch.linalg, "eigh", crooked)
    monkeypatch.setattr(factorization, "_apart", lambda *_: 0.0)
    least = np.linalg.norm(np.full((BLOCK, BLOCK), 1e-4), 2)  # ‖E‖ of one block, to first order
    assert inertia_of_shifted(lambda vector: whole @ vector, SIZE, 0.0).error > least


def test_the_error_holds_rounding_that_is_not_seen():
    """The identity is factorized exactly; what its sums might have lost is told all the same."""
    found = inertia_of_shifted(lambda vector: vector, SIZE, 0.0)
    assert SIZE * 2**-53 * SIZE < found.error < 1e-9


@pytest.mark.parametrize("broken", [np.zeros((3, 3)), np.diag([1.0, np.nan, 1.0])])
def test_what_breaks_off_tells_nothing(broken):
    found = inertia_of_shifted(lambda vector: broken @ vector, 3, 0.0)
    assert found.error == np.inf


def test_a_pivot_beside_zero_makes_the_error_large():
    """A leading part that is singular to rounding: the factors grow, and the error says so."""
    size = BLOCK + 2
    whole = np.eye(size)
    whole[:BLOCK, :BLOCK] *= 1e-14
    whole[:2, BLOCK:] = whole[BLOCK:, :2] = np.eye(2)
    found = inertia_of_shifted(lambda vector: whole @ vector, size, 0.0)
    assert found.error > 0.1


def test_it_tells_how_far_it_is():
    told = []
    inertia_of_shifted(lambda vector: vector, SIZE, 0.0, told.append)
    assert told[-1] == f"{SIZE} of {SIZE} columns of the Hessian factorized" and len(told) == 3


def columns(values, **settings):
    """What is judged of the minimum, saddle or maximum of ½ Σ λᵢwᵢ²."""
    objective = objective_of(Quadratic(eigenvalues=list(values)), 1)
    chosen = Classify(dense_up_to=1, extreme_eigenvalues=2, **settings)
    start = torch.zeros(1, len(values), dtype=torch.float64)
    return judged(objective, start, chosen, lambda text: None)[1]


@pytest.mark.parametrize("negative", [0, 1, 30])
def test_an_index_that_the_ends_leave_open_is_made_certain(negative):
    random = np.random.default_rng(0)
    values = np.r_[-random.uniform(0.5, 1.0, negative), random.uniform(0.5, 2.0, 400 - negative)]
    found = columns(values)
    assert found["index"] == found["index_least"] == found["index_most"] == negative


def test_above_the_limit_it_stays_open():
    values = np.r_[np.full(30, -1.0), np.linspace(0.5, 1.0, 370)]
    found = columns(values, factorize_up_to=399)
    assert 1 <= found["index_least"] <= 2 and found["index_most"] == 398
    assert found["index"] == -1


def test_a_factorization_with_a_large_error_closes_nothing(monkeypatch):
    monkeypatch.setattr(judging, "inertia_of_shifted", lambda *_: Inertia(0, 1e-6))
    found = columns(np.r_[np.full(30, -1.0), np.linspace(0.5, 1.0, 370)])
    assert 1 <= found["index_least"] <= 2 and found["index_most"] == 398


@pytest.mark.parametrize("smooth", [True, False])
def test_only_critical_points_are_factorized(monkeypatch, smooth):
    def refused(*_):
        raise AssertionError("nobody asked")

    monkeypatch.setattr(judging, "inertia_of_shifted", refused)
    model = Quadratic(eigenvalues=[-1.0] * 30 + [1.0] * 370)
    if not smooth:
        monkeypatch.setattr(
            Quadratic, "smooth", lambda self, weights, data: weights["w"].sum(1) > 1e9
        )
    start = torch.full((1, 400), 0.1 * smooth, dtype=torch.float64)
    chosen = Classify(dense_up_to=1, extreme_eigenvalues=2, polish="none")
    found = judged(objective_of(model, 1), start, chosen, lambda text: None)[1]
    assert found["index_most"] == 398


def test_eigenvalues_that_count_as_zero_leave_it_certain():
    """200 between −1e-8 and 1e-8, of which half are negative, count as zero."""
    values = np.r_[np.linspace(-1e-8, 1e-8, 200), np.linspace(0.5, 1.0, 200)]
    found = columns(values)
    assert found["index"] == found["index_least"] == found["index_most"] == 0


def test_eigenvalues_at_the_threshold_leave_it_open():
    """They are zero or negative by less than the error of anything that is computed."""
    values = np.r_[np.full(30, -1.0000001e-7), np.linspace(0.5, 1.0, 300)]
    found = columns(values)
    assert found["index_least"] < 30 and found["index_most"] == 30
    assert found["index"] == -1
