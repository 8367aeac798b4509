"""Non-negative least squares against the conditions of optimality, also of degenerate problems."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.least_squares import nonnegative


@given(seed=st.integers(0, 10**6), count=st.integers(1, 8), copies=st.integers(1, 3))
def test_small_integers_and_repeated_columns(seed, count, copies):
    rng = np.random.default_rng(seed)
    matrix = np.tile(rng.integers(-1, 2, (4, count)).astype(float), copies)
    right = rng.integers(-2, 3, 4).astype(float)
    found, norm = nonnegative(matrix, right)
    rest = right - matrix @ found
    assert (found >= 0).all() and norm == pytest.approx(np.linalg.norm(rest))
    assert (matrix.T @ rest <= 1e-9).all() and abs(found @ matrix.T @ rest) <= 1e-9


def test_the_relaxation_of_a_formula_that_scipys_nnls_gets_wrong():
    """The distance of a point from a polytope of clauses: 0.577 at the worst wall, so that no
    residual of 0 is possible."""
    matrix, right = relaxed_clauses()
    found, norm = nonnegative(matrix, right)
    bounded = scipy.optimize.lsq_linear(matrix, right, (0, np.inf), method="bvls", tol=1e-14)
    assert norm == pytest.approx(np.sqrt(2 * bounded.cost), rel=1e-9)
    assert norm == pytest.approx(np.linalg.norm(matrix @ found - right), rel=1e-12)


def test_what_rounding_leaves_at_the_bounds_is_zero():
    """Points beyond corners of a polytope of clauses, at one of which scipy's nnls fails and
    bounded least squares leave ±1e-18 in place of zeros."""
    rng = np.random.default_rng(6)
    signs = np.zeros((120, 40))
    for row in signs:
        row[rng.choice(40, 3, replace=False)] = rng.choice([-1, 1], 3)
    rows = np.concatenate([-np.eye(40), np.eye(40), -signs / 3**0.5])
    offsets = np.concatenate([np.zeros(40), np.ones(40), ((signs < 0).sum(1) - 1) / 3**0.5])
    for _ in range(10):
        point = 3 * np.round(rng.uniform(size=40) * 4) / 4 - 1
        excess = rows @ point - offsets
        matrix, right = np.vstack([-rows.T, excess / excess.max()]), np.eye(41)[40]
        found, _ = nonnegative(matrix, right)
        slopes = matrix.T @ (right - matrix @ found)
        assert (found >= 0).all() and slopes.max() < 1e-12
        assert np.abs(slopes[found > 0]).max() < 1e-12


def relaxed_clauses():
    rng = np.random.default_rng(1)
    signs = np.zeros((20, 6))
    for row in signs:
        row[rng.choice(6, 3, replace=False)] = rng.choice([-1, 1], 3)
    rows = np.concatenate([-np.eye(6), np.eye(6), -signs / 3**0.5])
    offsets = np.concatenate([np.zeros(6), np.ones(6), ((signs < 0).sum(1) - 1) / 3**0.5])
    excess = rows @ [0.5, 0.5, -1, 0.5, 2, 0.5] - offsets
    return np.vstack([-rows.T, excess / np.abs(excess).max()]), np.eye(7)[6]


def test_what_is_wrong_is_not_given_back(monkeypatch):
    matrix, right = np.eye(2), np.array([1.0, -1.0])
    monkeypatch.setattr(scipy.optimize, "nnls", lambda a, b: (np.array([3.0, 0.0]), 0.0))
    found, norm = nonnegative(matrix, right)
    np.testing.assert_allclose(found, [1, 0], atol=1e-12)
    assert norm == pytest.approx(1)
    wrong = scipy.optimize.OptimizeResult(x=np.array([0.0, 0.0]))
    monkeypatch.setattr(scipy.optimize, "lsq_linear", lambda *a, **k: wrong)
    with pytest.raises(ArithmeticError, match="did not converge"):
        nonnegative(matrix, right)


def test_without_columns_there_is_the_right_side():
    assert nonnegative(np.zeros((2, 0)), np.array([3.0, 4.0]))[1] == 5
