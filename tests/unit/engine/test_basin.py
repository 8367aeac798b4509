"""The basin test: says yes only inside basins, and near minima always."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes import Cubic, Descent, DoubleWell, Quadratic, objective_of

from nnflow.engine.basin import BARELY, HOPE, basin_margin, inside_basin
from nnflow.engine.training import train
from nnflow.interfaces import Model
from nnflow.study.stage_settings import Stop, Trace


def test_every_point_of_a_convex_quadratic_is_inside():
    objective = objective_of(Quadratic(eigenvalues=[0.5, 2.0]), 3)
    weights = torch.tensor([[1.0, 1.0], [100.0, -3.0], [1e-9, 0.0]], dtype=torch.float64)
    rate = torch.full((3,), 0.1, dtype=torch.float64)
    assert inside_basin(objective, weights, rate).all()


def test_no_basin_where_the_step_is_too_long_or_the_point_a_saddle():
    rate = torch.tensor([0.9, 1.1], dtype=torch.float64)
    weights = torch.ones(2, 2, dtype=torch.float64)
    bowl = objective_of(Quadratic(eigenvalues=[0.5, 2.0]), 2)
    # gradient descent needs α < 2/Λ = 1
    assert inside_basin(bowl, weights, rate).tolist() == [True, False]
    saddle = objective_of(Quadratic(eigenvalues=[0.5, -1e-6]), 2)
    assert not inside_basin(saddle, weights, rate / 10).any()


def test_beside_a_minimum_yes_beside_the_ridge_no():
    objective = objective_of(DoubleWell(), 4)
    weights = torch.tensor([[1.01, 0.0], [-0.98, 0.02], [0.05, 0.0], [0.5, 0.0]])
    rate = torch.full((4,), 0.1, dtype=torch.float64)
    assert inside_basin(objective, weights.double(), rate).tolist() == [True, True, False, False]


@given(st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=20))
def test_a_yes_is_always_right(points):
    objective = objective_of(DoubleWell(), len(points))
    weights = torch.tensor(points, dtype=torch.float64)
    rate = torch.full((len(points),), 0.1, dtype=torch.float64)
    inside = inside_basin(objective, weights, rate)
    outcome = train(objective, Descent(), weights, Stop(gradient_norm=1e-10, steps=4000), Trace())
    ends = outcome.weights[inside]
    # the minimum of the same side, reached without leaving the ball around it
    assert torch.equal(torch.sign(ends[:, 0]), torch.sign(weights[inside, 0]))
    assert (ends[:, 0].abs() - 1).abs().le(1e-8).all()


def test_the_margin_tells_how_much_nearer_a_run_must_come():
    """Towards the ridge of the double well the curvature falls, and the margin with it."""
    objective = objective_of(DoubleWell(), 4)
    ways = torch.tensor([-0.01, -0.15, -0.2, -0.25], dtype=torch.float64)
    weights = torch.stack([1 + ways, torch.zeros(4, dtype=torch.float64)], dim=1)
    rate = torch.full((4,), 0.1, dtype=torch.float64)
    margin = basin_margin(objective, weights, rate)
    assert margin[0] == 1 and (margin[1:] <= BARELY).all()
    assert (margin[1:].diff() < 0).all()
    nearer = weights.clone()
    nearer[:, 0] = 1 + 0.5 * margin * ways
    assert inside_basin(objective, nearer, rate).all()


def test_no_margin_where_the_hessian_is_indefinite():
    objective = objective_of(DoubleWell(), 1)
    rate = torch.full((1,), 0.1, dtype=torch.float64)
    assert basin_margin(objective, torch.zeros(1, 2, dtype=torch.float64), rate).isnan().all()


def test_the_proof_ends_where_the_bound_eats_up_the_curvature():
    """λ² > 9/4 B‖g‖ with B = 1, λ = 1 + w and ‖g‖ = |w + w²/2|: for w < 2, and on the side where
    the curvature falls for w > −0.2723, as 17w² + 34w + 8 > 0."""
    objective = objective_of(Cubic(), 4)
    weights = torch.tensor([[1.99], [2.01], [-0.272], [-0.273]], dtype=torch.float64)
    rate = torch.full((4,), 0.01, dtype=torch.float64)
    assert inside_basin(objective, weights, rate).tolist() == [True, False, True, False]


def test_the_proof_ends_where_the_step_is_too_long_for_the_steepest_curvature():
    """α(Λ + μ) < 2 with Λ = 2 and μ = 3/2 √(3/2) at 1: α < 0.5212."""
    objective = objective_of(Cubic(), 2)
    weights = torch.ones(2, 1, dtype=torch.float64)
    rate = torch.tensor([0.521, 0.522], dtype=torch.float64)
    assert inside_basin(objective, weights, rate).tolist() == [True, False]


def test_the_bound_is_that_of_three_lengths_around():
    """By 9/4 · 6(w + r)g < 1 with r = 0 alone 1.034 would be inside."""
    objective = objective_of(DoubleWell(), 2)
    weights = torch.tensor([[1.034, 0.0], [1.02, 0.0]], dtype=torch.float64)
    rate = torch.full((2,), 0.1, dtype=torch.float64)
    assert inside_basin(objective, weights, rate).tolist() == [False, True]


def test_a_margin_is_given_where_the_loss_is_convex_along_the_gradient():
    """Between the wells the first weight's curvature is 3·0.09 − 1; along the second it is 1."""
    objective = objective_of(DoubleWell(), 3)
    weights = torch.tensor([[0.3, 0.0], [0.0, 0.3], [0.5, 1e3]], dtype=torch.float64)
    rate = torch.full((3,), 0.1, dtype=torch.float64)
    margin = basin_margin(objective, weights, rate)
    assert margin[0].isnan() and margin[2] == HOPE


def test_on_a_minimum_without_third_derivatives_it_is_proved():
    class Quartic(Model):
        """L = w²/2 + w⁴, whose third derivative is 24w."""

        def shapes(self):
            return {"w": (1,)}

        def loss(self, weights, data):
            w = weights["w"][:, 0]
            return w**2 / 2 + w**4

        def third_derivative_bound(self, weights, radius):
            return 24 * (weights["w"][:, 0].abs() + radius)

    objective = objective_of(Quartic(), 1)
    rate = torch.full((1,), 0.1, dtype=torch.float64)
    assert inside_basin(objective, torch.zeros(1, 1, dtype=torch.float64), rate).all()


def test_on_the_minimum_itself_it_is_proved():
    objective = objective_of(DoubleWell(), 1)
    weights = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert inside_basin(objective, weights, torch.full((1,), 0.1, dtype=torch.float64)).all()
