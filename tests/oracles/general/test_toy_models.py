"""Two-dimensional landscapes whose critical points are known exactly."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective, automatic_gradient, automatic_hessian
from nnflow.interfaces.registry import registry

# Himmelblau's critical points to 19 digits: the roots of 2x³ + 2xy − 21x + y² − 7 and
# 2y³ + 2xy − 13y + x² − 11. By Bézout two cubics meet in nine points at most.
MINIMA = [
    (3.0, 2.0, 0.0),
    (-2.805118086952744853, 3.131312518250572966, 0.0),
    (-3.779310253377746892, -3.283185991286169412, 0.0),
    (3.584428340330491745, -1.848126526964403554, 0.0),
]
SADDLES = [
    (-3.07302575076438961, -0.08135304428796751155, 104.0151629175581),
    (-0.1279613467306800663, -1.953714980244576426, 178.3372392019275),
    (0.08667750455539635182, 2.884254701174776113, 67.71915008752614),
    (3.385154183607020938, 0.07385187983774928772, 13.31192627040559),
]
MAXIMA = [(-0.270844590667347613, -0.9230385564799814631, 181.6165215225827)]


def objective(name, runs=1, **settings):
    model = registry().get("models", name)(**settings)
    return Objective(model, {}, Streams(0, "all", np.arange(runs), "train"))


MODELS = [("himmelblau", {}), ("toy_valley", {"epsilon": 0.1}), ("toy_valley", {"epsilon": 0})]
places = st.tuples(st.floats(-6, 6), st.floats(-6, 6))


@pytest.mark.parametrize("points, index", [(MINIMA, 0), (SADDLES, 1), (MAXIMA, 2)])
def test_critical_points_of_himmelblaus_function(points, index):
    problem = objective("himmelblau", len(points))
    *place, loss = np.array(points).T
    weights = torch.as_tensor(np.stack(place, axis=1))
    assert problem.gradient(weights).abs().max() < 1e-12
    np.testing.assert_allclose(problem.loss(weights).numpy(), loss, rtol=1e-13, atol=1e-27)
    eigenvalues = torch.linalg.eigvalsh(problem.hessian(weights))
    assert ((eigenvalues < 0).sum(dim=1) == index).all()
    assert eigenvalues.abs().min() > 1


@pytest.mark.parametrize("epsilon", [1.0, 0.1, 0.01])
def test_minimum_of_the_toy_valley(epsilon):
    problem = objective("toy_valley", epsilon=epsilon)
    weights = torch.zeros(1, 2, dtype=torch.float64)
    assert float(problem.loss(weights)) == 0
    assert torch.equal(problem.gradient(weights), weights)
    expected = torch.diag(torch.tensor([2 * epsilon, 2], dtype=torch.float64))
    assert torch.equal(problem.hessian(weights)[0], expected)
    assert float(torch.linalg.cond(problem.hessian(weights)[0])) == pytest.approx(1 / epsilon)


@given(st.floats(-3, 3))
def test_floor_of_the_valley_is_minimal_without_slope(w1):
    problem = objective("toy_valley", epsilon=0)
    weights = torch.tensor([[w1, w1 * w1]], dtype=torch.float64)
    assert float(problem.loss(weights)) == 0
    eigenvalues = torch.linalg.eigvalsh(problem.hessian(weights))[0]
    # flat along the parabola, 2 + 8w₁² across it
    assert eigenvalues.tolist() == pytest.approx([0, 2 + 8 * w1 * w1], abs=1e-13 * (2 + 8 * w1**2))


def test_gradient_descent_slides_along_the_valley():
    epsilon, rate, steps = 0.01, 0.01, 5000
    problem = objective("toy_valley", epsilon=epsilon)
    optimizer = registry().get("optimizers", "gradient_descent")(rate=rate)
    weights = torch.tensor([[1.5, -1.0]], dtype=torch.float64)
    state = optimizer.start(weights, torch.ones(1, dtype=torch.float64))
    path = [weights[0].numpy()]
    for _ in range(steps):
        weights, state = optimizer.step(problem, weights, state)
        path.append(weights[0].numpy())
    w1, w2 = np.array(path).T
    # down into the valley in a time of order 1, where its floor lies ε/2·(4w₁² + …) lower
    settled = 300
    assert np.abs(w2 - w1**2)[settled:].max() < epsilon
    # then dw₁/dt = −2εw₁/(1 + 4w₁²), that is ln w₁ + 2w₁² = const − 2εt
    clock = np.log(w1) + 2 * w1**2
    time = rate * np.arange(steps + 1)
    slope = np.polyfit(time[settled:], clock[settled:], 1)[0]
    assert slope == pytest.approx(-2 * epsilon, rel=0.02)


@pytest.mark.parametrize("name, settings", MODELS)
@given(place=places)
def test_derivatives(name, settings, place):
    problem = objective(name, **settings)
    weights = torch.tensor([place], dtype=torch.float64)
    gradient, hessian = problem.gradient(weights), problem.hessian(weights)
    scale = 1 + float(hessian.abs().max())
    automatic = automatic_gradient(problem._function, weights)
    torch.testing.assert_close(gradient, automatic, rtol=1e-12, atol=1e-12 * scale)
    automatic = automatic_hessian(problem._function, weights)
    torch.testing.assert_close(hessian, automatic, rtol=1e-12, atol=1e-12 * scale)
    step = 1e-4
    # the loss is a quartic: central differences are off by third derivatives times step²/6
    allowed = 24 * 7 * step**2 + 1e-16 * (1 + float(problem.loss(weights))) / step
    for column, unit in enumerate(torch.eye(2, dtype=torch.float64)):
        ahead, behind = weights + step * unit, weights - step * unit
        slope = (problem.loss(ahead) - problem.loss(behind)) / (2 * step)
        assert abs(float(slope - gradient[0, column])) < allowed
        change = (problem.gradient(ahead) - problem.gradient(behind)) / (2 * step)
        torch.testing.assert_close(change[0], hessian[0, column], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name, settings", MODELS)
@given(
    place=places,
    angle=st.floats(0, 2 * math.pi),
    radius=st.floats(1e-3, 3),
    part=st.floats(0.01, 1),
)
def test_third_derivative_bound(name, settings, place, angle, radius, part):
    problem = objective(name, **settings)
    weights = torch.tensor([place], dtype=torch.float64)
    away = part * radius * torch.tensor([[math.cos(angle), math.sin(angle)]], dtype=torch.float64)
    bound = problem.model.third_derivative_bound(
        problem.named(weights), torch.tensor([radius], dtype=torch.float64)
    )
    change = problem.hessian(weights + away) - problem.hessian(weights)
    norm = float(torch.linalg.matrix_norm(change, ord=2))
    assert norm <= float(bound) * part * radius * (1 + 1e-9) + 1e-12


@pytest.mark.parametrize("name, settings", MODELS)
def test_third_derivative_bound_is_not_wasteful(name, settings):
    problem = objective(name, **settings)
    weights = torch.tensor([[4.0, 0.0]], dtype=torch.float64)
    bound = problem.model.third_derivative_bound(problem.named(weights), torch.zeros(1).double())
    away = torch.tensor([[1e-4, 0]], dtype=torch.float64)
    change = problem.hessian(weights + away) - problem.hessian(weights)
    assert float(torch.linalg.matrix_norm(change, ord=2)) > 0.8 * float(bound) * 1e-4


@pytest.mark.parametrize("name, settings", MODELS)
def test_weights_are_observed(name, settings):
    problem = objective(name, runs=3, **settings)
    weights = torch.arange(6, dtype=torch.float64).reshape(3, 2)
    observed = problem.model.observables(problem.named(weights), {})
    assert torch.equal(torch.stack([observed["w1"], observed["w2"]], dim=1), weights)


def newton_ends(name, starts, steps=200):
    problem = objective(name, len(starts))
    optimizer = registry().get("optimizers", "newton")(longest_step=0.5)
    state = optimizer.start(starts, torch.ones(len(starts), dtype=torch.float64))
    weights = starts
    for _ in range(steps):
        weights, state = optimizer.step(problem, weights, state)
    return weights.numpy()


def test_newton_finds_all_nine_points_and_no_other():
    axis = torch.linspace(-5, 5, 15, dtype=torch.float64)
    ends = newton_ends("himmelblau", torch.cartesian_prod(axis, axis))
    known = np.array(MINIMA + SADDLES + MAXIMA)[:, :2]
    distance = np.linalg.norm(ends[:, None] - known, axis=2)
    assert set(distance.argmin(axis=1)) == set(range(9))
    assert (distance.min(axis=1) < 1e-10).mean() > 0.98
