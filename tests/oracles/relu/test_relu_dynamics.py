"""Tian's dynamics of ReLU networks: one neuron, symmetric networks, noise, many layers."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from students import normal
from students import objective as whole
from studies import AGREE, complete, module, verdicts

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective, automatic_gradient, automatic_hessian
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

STUDIES = Path(__file__).parents[3] / "config" / "studies"
WIDTHS = range(2, 21)


def objective(name, runs=1, **settings):
    model = registry().get("models", name)(**settings)
    return Objective(model, {}, Streams(0, "all", np.arange(runs), "train"))


# Closed forms


@pytest.mark.parametrize(
    "name, given_settings, size",
    [
        ("single_relu", {"inputs": 1}, 1),
        ("single_relu", {"inputs": 4}, 4),
        ("symmetric_relu", {"k": 2}, 2),
        ("symmetric_relu", {"k": 9}, 2),
        ("relu_top_weights", {"top": [1, 2, -1.5]}, 9),
        ("relu_top_weights", {"top": [-0.5]}, 1),
    ],
)
def test_closed_forms_are_the_derivatives(name, given_settings, size):
    problem, weights = objective(name, 5, **given_settings), normal(5, size)
    expected = automatic_gradient(problem._function, weights)
    torch.testing.assert_close(problem.gradient(weights), expected, rtol=0, atol=1e-13)
    expected = automatic_hessian(problem._function, weights)
    torch.testing.assert_close(problem.hessian(weights), expected, rtol=0, atol=1e-11)
    step = 1e-6
    for axis in range(size):
        moved = torch.zeros(size, dtype=torch.float64)
        moved[axis] = step
        slope = (problem.loss(weights + moved) - problem.loss(weights - moved)) / (2 * step)
        torch.testing.assert_close(problem.gradient(weights)[:, axis], slope, rtol=1e-7, atol=1e-8)


def test_one_relu_is_the_expectation():
    problem, weights = objective("single_relu", 3, inputs=3), normal(3, 3)
    x = np.random.default_rng(1).normal(size=(400_000, 3))
    apart = np.maximum(x @ weights.numpy().T, 0) - np.maximum(x[:, :1], 0)
    halves = apart**2 / 2
    error = np.abs(halves.mean(0) - problem.loss(weights).numpy())
    assert (error < 4 * halves.std(0) / math.sqrt(len(x))).all()


def test_one_relu_is_a_student_of_one_teacher():
    weights = normal(6, 1)
    one, other = objective("single_relu", 6, inputs=1), whole(1, 1, 6)
    torch.testing.assert_close(one.loss(weights), other.loss(weights))
    torch.testing.assert_close(one.gradient(weights), other.gradient(weights))


def test_top_weights_are_factors_of_the_outputs():
    top = [1.0, -2.0, 0.5]
    problem, weights = objective("relu_top_weights", 2, top=top), normal(2, 9)
    x = np.random.default_rng(2).normal(size=(400_000, 3))
    for run in range(2):
        drive = np.maximum(x @ weights[run].reshape(3, 3).numpy().T, 0) - np.maximum(x, 0)
        halves = (drive @ top) ** 2 / 2
        error = abs(halves.mean() - float(problem.loss(weights)[run]))
        assert error < 4 * halves.std() / math.sqrt(len(x))


def test_top_weights_of_one_are_the_plain_network():
    weights = normal(4, 25)
    one, other = objective("relu_top_weights", 4, top=[1.0] * 5), whole(5, 5, 4)
    torch.testing.assert_close(one.loss(weights), other.loss(weights), atol=1e-13, rtol=0)
    torch.testing.assert_close(one.gradient(weights), other.gradient(weights), atol=1e-14, rtol=0)
    radius = torch.full((4,), 1e-3, dtype=torch.float64)
    bounds = [
        p.model.third_derivative_bound({"w": weights.reshape(4, 5, 5)}, radius)
        for p in (one, other)
    ]
    torch.testing.assert_close(*bounds)


@settings(max_examples=30)
@given(seed=st.integers(0, 1000), radius=st.floats(1e-4, 0.2))
def test_third_derivatives_of_top_weights_are_bounded(seed, radius):
    top = [2.0, -1.0, 0.5]
    problem, weights = objective("relu_top_weights", 1, top=top), normal(1, 9, draw=seed)
    away = normal(1, 9, draw=seed + 5000)
    away *= radius / away.norm()
    named = {"w": weights.reshape(1, 3, 3)}
    bound = problem.model.third_derivative_bound(named, torch.tensor([radius]).double())
    change = problem.hessian(weights + away) - problem.hessian(weights)
    assert float(torch.linalg.matrix_norm(change, ord=2)) <= float(bound) * radius + 1e-9


@settings(max_examples=20)
@given(scale=st.floats(0.1, 3))
def test_scaled_permutations_compute_the_same(scale):
    # wᵢ = (aⱼ/aᵢ)e_π(i) is another network of the teacher's function
    top = [1.0, -scale, 2.0]
    weights = torch.zeros(3, 3, dtype=torch.float64)
    weights[0, 2], weights[2, 0], weights[1, 1] = 2.0, 0.5, 1.0
    problem = objective("relu_top_weights", 1, top=top)
    assert float(problem.loss(weights.reshape(1, 9))) == pytest.approx(0, abs=1e-13)
    assert float(problem.gradient(weights.reshape(1, 9)).norm()) < 1e-13


def test_a_top_weight_of_zero_is_refused():
    with pytest.raises(ValueError, match="finite numbers other than 0"):
        registry().get("models", "relu_top_weights")(top=[1, 0])


# One ReLU


def test_probability_of_the_region_by_sampling():
    probability = module("single_relu_region").region_probability
    start = registry().get("initializers", "half_space_ball")(epsilon=0.5)
    for inputs in (1, 2, 5, 20, 100):
        drawn = start.draw({"w": (inputs,)}, Streams(1, "all", np.arange(20_000), "x"))["w"]
        radius = start.radius(inputs)
        assert np.linalg.norm(drawn, axis=1).max() <= radius
        share = (2 * drawn[:, 0] > (drawn**2).sum(1)).mean()
        assert abs(share - probability(inputs, radius)) < 4 * 0.5 / math.sqrt(20_000)
        assert probability(inputs, radius) >= 0.25


def test_only_the_opposite_ray_fails():
    problem = objective("single_relu", 2, inputs=2)
    w = torch.tensor([[-0.5, 0.0], [-0.5, 1e-6]], dtype=torch.float64)
    for _ in range(3000):
        w = w - 0.1 * problem.gradient(w)
    assert float(w[0].norm()) < 1e-8
    assert not problem.model.smooth({"w": w[:1, None]}, {}).any()
    torch.testing.assert_close(w[1], torch.tensor([1.0, 0.0]).double(), atol=1e-10, rtol=0)


# Symmetric networks


def matrices(x, y, k):
    eye = torch.eye(k, dtype=torch.float64)
    return x[:, None, None] * eye + y[:, None, None] * (1 - eye)


@pytest.mark.parametrize("k", WIDTHS)
def test_two_weights_follow_the_whole_network(k):
    x, y = torch.rand(2, 30, generator=torch.Generator().manual_seed(k), dtype=torch.float64)
    small, large = objective("symmetric_relu", 30, k=k), whole(k, k, 30)
    weights = torch.stack([x, math.sqrt(k - 1) * y], dim=1)
    every = matrices(x, y, k).flatten(1)
    along, around = small.model.velocity(x, y)
    expected = -large.gradient(every).reshape(30, k, k)
    torch.testing.assert_close(matrices(along, around, k), expected, rtol=0, atol=1e-13)
    torch.testing.assert_close(k * small.loss(weights), large.loss(every), rtol=0, atol=1e-11)
    # a step in the frame is the step of every neuron
    moved = weights - 0.01 * small.gradient(weights)
    torch.testing.assert_close(moved[:, 0], x + 0.01 * along, rtol=0, atol=1e-15)


@pytest.mark.parametrize("k", WIDTHS)
def test_saddle(k):
    place = (math.sqrt(k - 1) - math.acos(1 / math.sqrt(k)) + math.pi) / (math.pi * k)
    problem = objective("symmetric_relu", k=k)

    def speed(x):
        x = torch.tensor([x], dtype=torch.float64)
        return float(problem.model.velocity(x, x)[0])

    assert brentq(speed, 1e-3, 1, xtol=1e-16) == pytest.approx(place, abs=1e-14)
    weights = torch.tensor([[place, math.sqrt(k - 1) * place]], dtype=torch.float64)
    low, high = torch.linalg.eigvalsh(problem.hessian(weights)[0])
    assert float(high) == pytest.approx(k / 2, abs=1e-12)
    assert float(low) < 0
    # the whole network's Hessian there has the same two eigenvalues among its own
    eye = matrices(*torch.full((2, 1), place, dtype=torch.float64), k).flatten(1)
    values = torch.linalg.eigvalsh(whole(k, k).hessian(eye)[0])
    for value in (low, high):
        assert float((values - value).abs().min()) < 1e-7


def test_hessian_near_the_saddle_by_differences():
    # the angle between neurons has a kink at x = y, the loss has none
    problem = objective("symmetric_relu", k=5)
    weights, step = torch.tensor([[0.3, 0.6]], dtype=torch.float64), 1e-6
    for axis in range(2):
        moved = torch.zeros(2, dtype=torch.float64)
        moved[axis] = step
        slope = (problem.gradient(weights + moved) - problem.gradient(weights - moved)) / (2 * step)
        expected = problem.hessian(weights)[0, axis]
        torch.testing.assert_close(slope[0], expected, rtol=0, atol=2e-6)


def test_the_line_is_kept_to_the_bit():
    for k in WIDTHS:
        model = objective("symmetric_relu", k=k).model
        x = torch.linspace(1e-3, 1, 500, dtype=torch.float64)
        along, around = model.velocity(x, x)
        assert torch.equal(along, around)


def test_symmetric_starts():
    start = registry().get("initializers", "symmetric_start")(x=0.5, y=0.1, noise=0.01)
    drawn = start.draw({"w": (3, 3)}, Streams(1, "all", np.arange(4000), "x"))["w"]
    middle = 0.1 + 0.4 * np.eye(3)
    assert np.abs(drawn.mean(0) - middle).max() < 4 * 0.01 / math.sqrt(4000)
    assert drawn.std(0) == pytest.approx(0.01, rel=0.06)
    with pytest.raises(UserError, match=r"symmetric_start: the weight 'w' \(2, 3\) is not square"):
        start.draw({"w": (2, 3)}, Streams(1, "all", np.arange(2), "x"))


# Many layers


def test_layered_gradient_of_one_layer_is_equation_3():
    student, teacher, data = normal(2, 12).reshape(2, 4, 3), normal(2, 12, draw=1), normal(2, 80)
    teacher, data = teacher.reshape(2, 4, 3), data.reshape(2, 20, 4)
    found, sums, _ = module("multilayer_gradient").layered_gradient([student], [teacher], data)
    residual = torch.relu(data @ student).sum(2) - torch.relu(data @ teacher).sum(2)
    torch.testing.assert_close(sums[0], residual)
    gates = (data @ student > 0).double()
    torch.testing.assert_close(found[0], data.mT @ (gates * residual[..., None]))


def test_a_wrong_order_of_layers_would_be_seen(monkeypatch):
    plugin, part = (
        registry().get("analyses", "multilayer_gradient"),
        module("multilayer_gradient"),
    )
    study = SimpleNamespace(settings=SimpleNamespace(seed=3))
    results = SimpleNamespace(study=study, configurations=(SimpleNamespace(label="all"),))
    tried = plugin(depths=(1, 3), widths=(4,), networks=3)
    right = tried.compute(results)
    assert float(right["identity_error"][0]) < 1e-13
    monkeypatch.setattr(part, "_above", lambda weights, gates: [torch.ones_like(g) for g in gates])
    wrong = tried.compute(results)
    assert float(wrong["error"].sel(depth=1).max()) < 1e-13
    assert float(wrong["error"].sel(depth=3).min()) > 1e-3


# The studies


def study(name):
    return load_study(study_file(name, STUDIES), "quick")


@pytest.mark.slow
def test_single_relu_study(tmp_path):
    job = complete(study("single_relu"), tmp_path)
    given = verdicts(job)
    corrected = {claim for claim, verdict in given.items() if verdict == "corrected"}
    assert {claim.split("[")[0] for claim in corrected} == {"far_share"}
    # few starts a dimension
    assert {given[claim] for claim in given.keys() - corrected} <= AGREE | {"undecided"}
    found = job.read["summary"]
    several = found["inputs"].values > 1
    assert (found["converged_share"].values[several] == 1).all()
    assert (found["region_exact"] >= found["bound"]).all()
    assert -0.26 < float(found["inside_rate"][0]) < -0.25


@pytest.mark.slow
def test_symmetry_breaking_study(tmp_path):
    job = complete(study("symmetry_breaking"), tmp_path)
    assert set(verdicts(job).values()) <= AGREE
    assert job.read["summary"]["steps"].values.tolist() == [3631, 1908, 969]


@pytest.mark.slow
def test_noisy_initialization_study(tmp_path):
    job = complete(study("noisy_initialization"), tmp_path)
    found = job.read["summary"].sel(configuration=["k=5,n=5,noise=0.0001", "k=5,n=5,noise=0.002"])
    assert found["teacher_share_low"][0] > found["teacher_share_high"][1]
    given = verdicts(job)
    assert given["mixed_top[model=relu_top_weights,top=1-1-1-1--1]"] == "corrected"
    assert given["positive_top[model=relu_top_weights,top=1-1-1-1-1]"] == "not_contradicted"
