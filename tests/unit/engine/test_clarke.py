"""First-order tests at kinks: textbook kinks, hulls and cones against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from nnflow.engine import clarke
from nnflow.engine.clarke import clarke_test, realizable_signs, shortest, steepest_fall
from nnflow.interfaces.kinks import Kinks
from nnflow.interfaces.registry import registry


def absolute(rows, factors, slope, at):
    """Kinks of Σ cᵢ|aᵢ·w| + s·w at a point, from the model."""
    model = registry().get("models", "absolute_values")(rows=rows, factors=factors, slope=slope)
    return model.kinks({"w": torch.tensor([at], dtype=torch.float64)}, {}, 1e-9)[0]


# rows, factors, slope, point: residual, steepest descent, cells
CASES = {
    "|x|": ([[1]], [1], [0], [0.0], 0, 0, 2),
    "|x| off its kink": ([[1]], [1], [0], [0.5], 1, 1, 1),
    "-|x|": ([[1]], [-1], [0], [0.0], 0, 1, 2),
    # max(x, −2x)
    "max": ([[1]], [1.5], [-0.5], [0.0], 0, 0, 2),
    # max(x, 3x)
    "no minimum": ([[1]], [1], [2], [0.0], 1, 1, 2),
    # min(x, 3x)
    "steeper": ([[1]], [-1], [2], [0.0], 1, 3, 2),
    "|x| + |y|": ([[1, 0], [0, 1]], [1, 1], [0, 0], [0.0, 0.0], 0, 0, 4),
    # Clarke-stationary, and falls along y
    "|x| - |y|": ([[1, 0], [0, 1]], [1, -1], [0, 0], [0.0, 0.0], 0, 1, 4),
    # |x| + |y| + |x + y| has six cells, not eight
    "three lines": ([[1, 0], [0, 1], [1, 1]], [1, 1, 1], [0, 0], [0.0, 0.0], 0, 0, 6),
    # |x| − |x| + x: the signs (1, −1) and (−1, 1) belong to no direction, so that 0 is no
    # generalized gradient
    "no such cell": ([[1], [1]], [1, -1], [1], [0.0], 1, 1, 2),
    "valley": ([[1, 0]], [1], [0, 0.5], [0.0, 3.0], 0.5, 0.5, 2),
}


@pytest.mark.parametrize("name", CASES)
def test_textbook_kinks(name):
    *problem, residual, descent, cells = CASES[name]
    found = clarke_test(absolute(*problem))
    assert found.residual == pytest.approx(residual, abs=1e-14)
    assert found.descent == pytest.approx(descent, abs=1e-14)
    assert found.cells == cells


@pytest.mark.parametrize("name", CASES)
def test_descent_is_the_steepest_of_sampled_directions(name):
    rows, factors, slope, at, _, descent, _ = CASES[name]
    model = registry().get("models", "absolute_values")(rows=rows, factors=factors, slope=slope)
    turns = torch.linspace(0, 2 * np.pi, 4001, dtype=torch.float64)
    ways = (
        torch.stack([turns.cos(), turns.sin()], 1) if len(at) == 2 else turns.cos().sign()[:, None]
    )
    start = torch.tensor([at], dtype=torch.float64)
    rise = model.loss({"w": start + 1e-4 * ways}, {}) - model.loss({"w": start}, {})
    assert max(0.0, -float(rise.min()) / 1e-4) == pytest.approx(descent, abs=1e-3)


def test_kinks_count_within_a_distance_of_the_point():
    near = absolute([[2, 0], [0, 1]], [1, 1], [0, 0], [0.9e-9, 2e-9])
    assert near.normals.tolist() == [[2, 0]] and near.signs.tolist() == [1]
    # on either side of the kink the pieces' gradients are the same
    gradients = [
        absolute([[1]], [3], [0.5], [side]).gradients(np.array([[-1.0], [1.0]])).tolist()
        for side in (-5e-10, 0.0, 5e-10)
    ]
    assert gradients == [[[-2.5], [3.5]]] * 3


@given(seed=st.integers(0, 10**6), count=st.integers(1, 6), size=st.integers(1, 3))
def test_signs_are_those_of_sampled_directions(seed, count, size):
    rng = np.random.default_rng(seed)
    normals = rng.standard_normal((count, size))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    found = {tuple(signs) for signs in realizable_signs(normals).tolist()}
    ways = rng.standard_normal((3000, size))
    seen = {tuple(signs) for signs in np.sign(ways @ normals.T).tolist()}
    assert seen <= found
    # central planes in general position
    expected = 2 * sum(_binomial(count - 1, i) for i in range(size))
    assert len(found) == expected


def _binomial(n, k):
    from math import comb

    return comb(n, k)


def test_too_many_cells_are_not_tested(monkeypatch):
    monkeypatch.setattr(clarke, "MOST_CELLS", 5)
    assert realizable_signs(np.eye(2)) is not None
    assert realizable_signs(np.eye(3)) is None
    assert realizable_signs(np.array([[1.0, 0], [0, 1], [0.6, 0.8]])) is None
    kinks = Kinks(np.zeros(3), np.eye(3), np.ones(3), np.zeros(3))
    assert clarke_test(kinks) == clarke.UNKNOWN == clarke_test(None)


def test_a_kink_without_slope_changes_nothing_to_first_order():
    kinks = Kinks(np.array([0.0, 1.0]), np.array([[0.0, 0.0]]), np.ones(1), np.zeros(1))
    found = clarke_test(kinks)
    assert (found.residual, found.descent, found.cells) == (1.0, 1.0, 1)


@given(seed=st.integers(0, 10**6), cells=st.integers(1, 6), scale=st.sampled_from([1e-6, 1.0, 1e6]))
def test_the_shortest_vector_of_a_hull(seed, cells, scale):
    gradients = scale * np.random.default_rng(seed).standard_normal((cells, 3))
    found = shortest(gradients)
    solved = minimize(
        lambda u: ((u @ gradients / scale) ** 2).sum(),
        np.full(cells, 1 / cells),
        method="SLSQP",
        bounds=[(0, 1)] * cells,
        constraints={"type": "eq", "fun": lambda u: u.sum() - 1},
        options={"ftol": 1e-14, "maxiter": 300},
    )
    assert found / scale == pytest.approx(np.sqrt(solved.fun), abs=2e-5)


@given(seed=st.integers(0, 10**6), walls=st.integers(0, 4))
def test_the_steepest_fall_in_a_cone(seed, walls):
    rng = np.random.default_rng(seed)
    slope, rows = rng.standard_normal(3), rng.standard_normal((walls, 3))
    found = steepest_fall(slope, rows)
    ways = rng.standard_normal((20_000, 3))
    ways /= np.linalg.norm(ways, axis=1, keepdims=True)
    ways = ways[(ways @ rows.T >= 0).all(axis=1)]
    sampled = max(0.0, (-ways @ slope).max(initial=0.0))
    assert sampled <= found + 1e-12
    if walls <= 2:  # wide enough for samples
        assert found <= sampled + 0.1
