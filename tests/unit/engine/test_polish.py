"""Polishing: onto the critical point beside it, and not away."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from landscapes import DoubleWell, Quadratic, objective_of

from nnflow.engine.newton import regularized_step
from nnflow.engine.polish import polish
from nnflow.interfaces import Model


class Valley(Model):
    """L = (w₂ − w₁²)²: minima along a parabola."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        w = weights["w"]
        return (w[:, 1] - w[:, 0] ** 2) ** 2


class Hill(Model):
    """Himmelblau's function, with a maximum of 181.6 near (−0.27, −0.92)."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        w = weights["w"]
        first, second = w[:, 0] ** 2 + w[:, 1] - 11, w[:, 0] + w[:, 1] ** 2 - 7
        return first**2 + second**2


def test_points_beside_minimum_and_saddle_go_onto_them():
    objective = objective_of(DoubleWell(), 3)
    start = torch.tensor([[0.97, 0.02], [1e-6, 1e-7], [-1.05, 0.0]], dtype=torch.float64)
    ends = polish(objective, start, radius=0.2)
    expected = torch.tensor([[1.0, 0.0], [0.0, 0.0], [-1.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(ends, expected, rtol=0, atol=1e-12)


def test_a_run_that_would_go_too_far_is_put_back():
    objective = objective_of(Quadratic(eigenvalues=[1.0, 2.0]), 2)
    start = torch.tensor([[0.1, 0.0], [3.0, 4.0]], dtype=torch.float64)
    ends = polish(objective, start, radius=1.0)
    assert torch.linalg.vector_norm(ends[0]) < 1e-12
    assert torch.equal(ends[1], start[1])


def test_the_loss_never_rises_away_from_critical_points():
    objective = objective_of(DoubleWell(), 200)
    start = torch.from_numpy(np.random.default_rng(1).uniform(-1.5, 1.5, (200, 2)))
    ends = polish(objective, start, radius=10.0)
    assert (objective.loss(ends) <= objective.loss(start) + 1e-12).all()
    # no point leaves the well it lay in
    crossed = torch.sign(ends[:, 0]) * torch.sign(start[:, 0]) < 0
    assert not crossed.any()


def test_minima_that_are_not_isolated_are_reached_without_sliding():
    objective = objective_of(Valley(), 2)
    start = torch.tensor([[0.5, 0.26], [1.0, 1.05]], dtype=torch.float64)
    ends = polish(objective, start, radius=1.0)
    assert torch.linalg.vector_norm(objective.gradient(ends), dim=1).max() <= 1e-12
    # the nearest minimum is about as far as the valley's floor is below
    assert torch.linalg.vector_norm(ends - start, dim=1).max() < 0.05


def test_rounding_of_a_large_loss_does_not_end_it():
    """Beside the maximum the loss is flat to rounding, 3e-14 there."""
    objective = objective_of(Hill(), 100)
    summit = torch.tensor([-0.2708445906, -0.9230385564], dtype=torch.float64)
    noise = torch.from_numpy(np.random.default_rng(1).uniform(-2e-10, 2e-10, (100, 2)))
    ends = polish(objective, summit + noise, radius=1.0)
    assert torch.linalg.vector_norm(objective.gradient(ends), dim=1).max() <= 1e-12


@pytest.mark.parametrize("runs", [1, 5])
def test_a_polished_point_is_left_as_it_is(runs):
    objective = objective_of(Quadratic(eigenvalues=[1.0, 2.0]), runs)
    start = torch.zeros(runs, 2, dtype=torch.float64)
    assert torch.equal(polish(objective, start, radius=1.0), start)


def test_systems_are_solved_whatever_their_signs():
    rng = np.random.default_rng(2)
    square = rng.standard_normal((3, 4, 4))
    positive = square @ square.transpose(0, 2, 1) + np.eye(4)
    indefinite, singular = np.diag([1.0, -2.0, 3.0, 4.0]), np.diag([1.0, 0.0, 1.0, 1.0])
    matrices = torch.from_numpy(np.concatenate([positive, [indefinite, singular]]))
    right = torch.from_numpy(rng.standard_normal((5, 4)))
    step, convex, failed = regularized_step(matrices, right)
    assert convex.tolist() == [True] * 3 + [False] * 2
    assert failed.tolist() == [False] * 4 + [True]
    residual = (matrices @ step[..., None]).squeeze(-1) - right
    assert residual[:4].abs().max() < 1e-13


class Slope(Model):
    """L = −cos(10w)/100 + t w/10: valleys one below the other, for t < 1."""

    tilt: float

    def shapes(self):
        return {"w": (1,)}

    def loss(self, weights, data):
        w = weights["w"][:, 0]
        return -torch.cos(10 * w) / 100 + self.tilt * w / 10


def test_a_step_over_ridges_is_not_taken_though_it_lowers_gradient_and_loss():
    """Where the curvature is near 0 the first steps lead into other valleys, farther down."""
    objective = objective_of(Slope(tilt=0.6), 3)
    start = torch.tensor([[-0.3], [-0.2984], [-0.2968]], dtype=torch.float64)
    ridge, valley = -np.pi + np.arcsin(0.6), -np.arcsin(0.6)
    ends = 10 * polish(objective, start, radius=100.0)[:, 0].numpy()
    # beyond the ridge a run descends into the valley that lies there, or stays
    assert (ends < ridge).all() and (ends >= valley - 2 * np.pi - 1e-9).all()
    objective = objective_of(Slope(tilt=0.2), 2)
    start = torch.tensor([[0.1583], [0.1598]], dtype=torch.float64)
    ends = 10 * polish(objective, start, radius=100.0)[:, 0].numpy()
    np.testing.assert_allclose(ends, -np.arcsin(0.2), atol=1e-10)
