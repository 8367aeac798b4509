"""Curvature that a critical point needs, against eigenvalues and third derivatives by hand."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes import Cubic, DoubleWell, Quadratic, objective_of

from nnflow.engine.kantorovich import curvature_needed, flatter, steeper
from nnflow.interfaces import Model


def norms(objective, weights):
    return torch.linalg.vector_norm(objective.gradient(weights), dim=1)


def test_of_a_cubic_by_hand():
    """μ = √(B‖g‖/c) with B = 1 and g = 0.02 + 0.0002 at 0.02."""
    objective, weights = objective_of(Cubic(), 1), torch.tensor([[0.02]], dtype=torch.float64)
    found = curvature_needed(objective, weights, norms(objective, weights), 0.25, 2.0)
    np.testing.assert_allclose(found, [np.sqrt(0.0202 / 0.25)], rtol=1e-14)


def test_the_bound_is_that_of_the_ball_that_is_looked_at():
    """DoubleWell with B = 6(w + r) and g = (w² − 1)w: r is 2√(cg/B(0)), and μ = √(B(r)g/c)."""
    w, limit = 1.0195, 0.25
    size = (w**2 - 1) * w
    radius = 2 * np.sqrt(limit * size / (6 * w))
    objective, weights = objective_of(DoubleWell(), 1), torch.tensor([[w, 0.0]]).double()
    weights[0, 0] = w
    found = curvature_needed(objective, weights, torch.full((1,), size).double(), limit, 2.0)
    np.testing.assert_allclose(found, [np.sqrt(6 * (w + radius) * size / limit)], rtol=1e-6)


def test_a_bound_that_falls_with_the_radius_counts_as_that_at_the_point():
    class Falling(Cubic):
        def third_derivative_bound(self, weights, radius):
            return 1 / (1 + radius)

    objective, weights = objective_of(Falling(), 1), torch.tensor([[0.02]], dtype=torch.float64)
    found = curvature_needed(objective, weights, norms(objective, weights), 0.25, 2.0)
    np.testing.assert_allclose(found, [np.sqrt(0.0202 / 0.25)], rtol=1e-14)


def test_what_is_needed_does_not_underflow():
    class Slight(Cubic):
        def third_derivative_bound(self, weights, radius):
            return torch.full_like(radius, 1e-200)

    objective, weights = objective_of(Slight(), 1), torch.zeros(1, 1, dtype=torch.float64)
    tiny = torch.full((1,), 1e-200, dtype=torch.float64)
    np.testing.assert_allclose(curvature_needed(objective, weights, tiny, 0.25, 2.0), [2e-200])


@given(st.floats(-1.5, 1.5), st.floats(-1, 1), st.sampled_from([0.1, 0.25, 4 / 9]))
def test_where_the_curvature_suffices_h_is_below_its_limit_with_the_bound_of_the_whole_ball(
    first, second, limit
):
    """DoubleWell's bound grows with the radius: h = Bη/λ with B of the ball of 3η."""
    weights = torch.tensor([[first, second]], dtype=torch.float64)
    objective = objective_of(DoubleWell(), 1)
    size = norms(objective, weights)
    needed = curvature_needed(objective, weights, size, limit, 3.0)
    least = torch.linalg.eigvalsh(objective.hessian(weights))[:, 0]
    if least > needed:
        length = size / least
        bound = objective.model.third_derivative_bound(objective.named(weights), 3 * length)
        assert (bound * length / least <= limit * (1 + 1e-12)).all()


def test_beside_the_minimum_the_curvature_suffices():
    weights = torch.tensor([[1.01, 0.0], [1.3, 0.0]], dtype=torch.float64)
    objective = objective_of(DoubleWell(), 2)
    needed = curvature_needed(objective, weights, norms(objective, weights), 0.25, 2.0)
    assert steeper(objective.hessian(weights), needed).tolist() == [True, False]


def test_without_a_third_derivative_none_is_needed():
    weights = torch.full((1, 2), 100.0, dtype=torch.float64)
    objective = objective_of(Quadratic(eigenvalues=[1.0, 2.0]), 1)
    assert curvature_needed(objective, weights, norms(objective, weights), 0.25, 2.0) == 0


def test_a_model_without_a_bound_needs_what_is_not_known():
    class Unbounded(Cubic):
        third_derivative_bound = Model.third_derivative_bound

    weights = torch.zeros(1, 1, dtype=torch.float64)
    objective = objective_of(Unbounded(), 1)
    assert curvature_needed(objective, weights, norms(objective, weights), 0.25, 2.0) is None


@given(st.integers(0, 2**31), st.integers(1, 6), st.floats(-2, 2))
def test_steeper_and_flatter_by_eigenvalues(seed, size, level):
    matrices = torch.as_tensor(np.random.default_rng(seed).normal(size=(5, size, size)))
    matrices = matrices + matrices.mT
    before, values = matrices.clone(), torch.linalg.eigvalsh(matrices)
    than = torch.full((5,), level, dtype=torch.float64)
    clear = ((values - level).abs() > 1e-9).all(dim=1)
    assert torch.equal(steeper(matrices, than)[clear], (values[:, 0] > level)[clear])
    assert torch.equal(flatter(matrices, than)[clear], (values[:, -1] < level)[clear])
    assert torch.equal(matrices, before)
