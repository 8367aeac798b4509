"""Damped Newton steps: each kind of step, and the loop that takes them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from landscapes import DoubleWell, Quadratic, normal_weights, objective_of

import nnflow
from nnflow.engine.newton import (
    Damping,
    LevenbergMarquardtSteps,
    find_critical,
    levenberg_marquardt_step,
    newton_step,
)


def symmetric(runs, size, seed):
    root = normal_weights(runs * size, size, seed).reshape(runs, size, size)
    return root + root.mT


def test_steps_against_dense_algebra():
    hessian, gradient = symmetric(3, 4, 1), normal_weights(3, 4, 2)
    damping = torch.tensor([0.0, 0.1, 10.0], dtype=torch.float64)
    newton = newton_step(hessian, gradient, 1e-12).numpy()
    damped = levenberg_marquardt_step(hessian, gradient, damping).numpy()
    for run in range(3):
        h, g = hessian[run].numpy(), gradient[run].numpy()
        np.testing.assert_allclose(newton[run], np.linalg.pinv(h) @ g, rtol=1e-10)
        expected = np.linalg.solve(h @ h + damping[run].item() * np.eye(4), h @ g)
        np.testing.assert_allclose(damped[run], expected, rtol=1e-10)


def test_a_singular_direction_gets_no_step():
    hessian = torch.diag(torch.tensor([2.0, 1e-14, 0.0], dtype=torch.float64))[None]
    gradient = torch.ones(1, 3, dtype=torch.float64)
    assert newton_step(hessian, gradient, 1e-12).tolist() == [[0.5, 0.0, 0.0]]
    zero = torch.zeros(1, dtype=torch.float64)
    assert levenberg_marquardt_step(hessian, 0 * gradient, zero).tolist() == [[0.0] * 3]


def test_an_undamped_step_has_no_part_where_the_hessian_is_zero():
    """Beside a regular one, which is not touched."""
    hessian = torch.diag(torch.tensor([2.0, -4.0, 0.0], dtype=torch.float64)).repeat(2, 1, 1)
    hessian[1, 2, 2] = 8.0
    gradient = torch.ones(2, 3, dtype=torch.float64)
    step = levenberg_marquardt_step(hessian, gradient, torch.zeros(2, dtype=torch.float64))
    assert step.tolist() == [[0.5, -0.25, 0.0], [0.5, -0.25, 0.125]]


@pytest.mark.parametrize("scale", [1.0, 1e-9])
def test_damping_far_below_the_hessian_keeps_the_digits(scale):
    """λg/(λ² + d) of eigenvalues 10⁻⁶ to 10³, whose squares lose what d is."""
    values = torch.logspace(-6, 3, 10, dtype=torch.float64) * scale
    vectors = torch.linalg.qr(symmetric(1, 10, 3)[0])[0]
    hessian, gradient = (vectors * values) @ vectors.mT, normal_weights(1, 10, 4)
    damping = torch.tensor([1e-10 * scale**2], dtype=torch.float64)
    step = levenberg_marquardt_step(hessian[None], gradient, damping)
    along = values / (values**2 + damping) * (gradient @ vectors)
    error = torch.linalg.vector_norm(step - along @ vectors.mT)
    assert error < 1e-8 * torch.linalg.vector_norm(along)


def test_damping_falls_rises_and_has_a_least_value():
    damping = Damping(least=1.0, rise=8.0, fall=4.0)
    factor = torch.tensor([16.0, 2.0, 2.0])
    after = damping.after(factor, torch.tensor([True, True, False]))
    assert after.tolist() == [4.0, 1.0, 16.0]


@pytest.mark.parametrize("power", [0, 2])
def test_critical_points_of_any_index_are_found(power):
    objective = objective_of(DoubleWell(), 60)
    start = 2 * normal_weights(60, 2, 1)
    method = LevenbergMarquardtSteps(Damping(1e-3, 10.0, 10.0, 1e12), power)
    ends = find_critical(objective, start, method, 200, 1e-14)
    converged = torch.linalg.vector_norm(objective.gradient(ends), dim=1) < 1e-13
    assert converged.float().mean() > 0.9
    known = torch.tensor([[-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)
    distance = torch.cdist(ends[converged], known)
    assert distance.amin(1).max() < 1e-12
    assert set(distance.argmin(1).tolist()) == {0, 1, 2}


def test_a_run_does_not_depend_on_its_companions():
    start = 2 * normal_weights(6, 2, 3)
    method = LevenbergMarquardtSteps()
    objective = objective_of(DoubleWell(), 6)
    alone = [
        find_critical(objective.take(np.array([run])), start[run : run + 1], method, 30, 1e-13)
        for run in range(6)
    ]
    assert torch.equal(find_critical(objective, start, method, 30, 1e-13), torch.cat(alone))


class Counted:
    """A problem that says which rows were asked for."""

    def __init__(self, objective):
        self.objective, self.rows = objective, []

    def __getattr__(self, name):
        return getattr(self.objective, name)

    def take(self, rows):
        self.rows.append(rows.tolist())
        return self.objective.take(rows)


def test_runs_leave_when_they_have_converged_or_given_up():
    problem = Counted(objective_of(Quadratic(eigenvalues=[1.0, 2.0]), 2))
    start = torch.tensor([[0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    find_critical(problem, start, LevenbergMarquardtSteps(), 3, 1e-13)
    assert problem.rows == [[1], [1], [1]]
    given_up = LevenbergMarquardtSteps(Damping(1.0, 2.0, 2.0, give_up=8.0))
    problem.rows = []
    ends = find_critical(problem, start, given_up, 9, 1e-13, first=8.0)
    assert problem.rows == [] and torch.equal(ends, start)


def test_the_floor_of_the_damping():
    """H = 1, g = 1: the step is 1/(1 + d) with d at least the floor times tr H² = 1."""
    objective = objective_of(Quadratic(eigenvalues=[1.0]), 1)
    start = torch.ones(1, 1, dtype=torch.float64)
    for floor, step in ((0.0, 1 / 1.01), (0.25, 1 / 1.25)):
        method = LevenbergMarquardtSteps(Damping(0.01, 2.0, 2.0), power=0, floor=floor)
        end = find_critical(objective, start, method, 1, 1e-13)
        assert float(1 - end) == pytest.approx(step, rel=1e-14)


def test_plugins_can_use_them():
    assert nnflow.find_critical is find_critical and nnflow.newton_step is newton_step
