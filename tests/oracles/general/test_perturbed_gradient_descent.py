"""Perturbed gradient descent against Algorithm 1 of Jin et al. 2017, line by line."""

import math

import numpy as np
import pytest
import torch
from descents import StrictSaddle, first_weights, follow, objective, optimizer
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces import Model


def escaping(**changed):
    settings = {
        "rate": 0.2, "radius": 0.01, "gradient_threshold": 1e-3, "loss_threshold": 1e-3,
        "waiting_time": 40,
    }  # fmt: skip
    return optimizer("perturbed_gradient_descent", **(settings | changed))


def test_perturbed_gradient_descent_leaves_the_saddle_where_gradient_descent_stays():
    runs = 50
    # exactly on the stable manifold of the saddle
    weights = torch.zeros(runs, 2, dtype=torch.float64)
    weights[:, 0] = torch.linspace(0.5, 2, runs)
    problem = objective(StrictSaddle(), runs)
    stays = follow(optimizer("gradient_descent", rate=0.2), problem, weights, 400)[-1]
    assert stays.abs().max() < 1e-30
    # in 60 steps y grows by a factor of 1.2⁶⁰ = 56 000, so that any noise suffices
    leaves = follow(escaping(waiting_time=60), problem, weights, 400)[-1]
    assert (leaves[:, 1].abs() - 1).abs().max() < 1e-2
    assert 10 < (leaves[:, 1] > 0).sum() < 40


def loop_of_algorithm_1(gradient, loss, x, streams, settings, steps):
    """Jin et al. 2017, Algorithm 1, line by line, for one run. Yields x_t; stays at x̃ when
    the algorithm has returned."""
    eta, r, g_thres, f_thres, t_thres = (
        settings[key]
        for key in ("rate", "radius", "gradient_threshold", "loss_threshold", "waiting_time")
    )
    t_noise, anchor = -t_thres - 1, None
    for t in range(steps):
        if np.linalg.norm(gradient(x)) <= g_thres and t - t_noise > t_thres:
            anchor, t_noise = x, t
            drawn = streams.normal(len(x) + 2, draw=t)[0]
            x = anchor + r * drawn[:-2] / np.linalg.norm(drawn)
        if t - t_noise == t_thres and loss(x) - loss(anchor) > -f_thres:
            while True:
                yield anchor
        x = x - eta * gradient(x)
        yield x


def test_perturbed_gradient_descent_is_algorithm_1():
    def gradient(w):
        return np.array([w[0], -w[1] + w[1] ** 3])

    def loss(w):
        return w[0] ** 2 / 2 - w[1] ** 2 / 2 + w[1] ** 4 / 4

    runs, steps = 6, 300
    plugin, problem = escaping(), objective(StrictSaddle(), runs)
    weights = first_weights(runs, 2)
    weights[:3, 1] = 0
    path = follow(plugin, problem, weights, steps)
    for run in range(runs):
        streams = problem.streams.take(np.array([run]))
        settings = plugin.model_dump()
        alone = loop_of_algorithm_1(gradient, loss, weights[run].numpy(), streams, settings, steps)
        expected = [next(alone) for _ in range(steps)]
        np.testing.assert_allclose(path[1:, run].numpy(), expected, rtol=1e-9, atol=1e-11)


def test_perturbed_gradient_descent_returns_to_where_the_last_noise_was_added():
    weights = torch.tensor([[0.3, 0.8]], dtype=torch.float64)
    plugin, problem = escaping(), objective(StrictSaddle(), 1)
    path = follow(plugin, problem, weights, 200)[:, 0]
    quiet = [float(problem.gradient(w[None]).norm()) <= 1e-3 for w in path]
    first = quiet.index(True)
    # noise at `first`, the verdict `waiting_time` steps later: back, and there to stay
    assert not torch.equal(path[first + 1], path[first])
    assert not torch.equal(path[first + 40], path[first])
    assert all(torch.equal(w, path[first]) for w in path[first + 41 :])


@given(st.integers(1, 6), st.integers(0, 100))
def test_noise_is_inside_the_ball(size, seed):
    class Flat(Model):
        def shapes(self):
            return {"w": (size,)}

        def loss(self, weights, data):
            return 0.0 * weights["w"].sum(1)

    problem = Objective(Flat(), {}, Streams(seed, "all", np.arange(30), "train"))
    start = torch.zeros(30, size, dtype=torch.float64)
    moved = follow(escaping(radius=0.25), problem, start, 1)[-1]
    lengths = moved.norm(dim=1)
    assert lengths.min() > 0 and lengths.max() <= 0.25
    assert len(lengths.unique()) == 30


def test_noise_is_uniform_in_the_ball():
    class Flat(Model):
        def shapes(self):
            return {"w": (3,)}

        def loss(self, weights, data):
            return 0.0 * weights["w"].sum(1)

    runs = 20_000
    start = torch.zeros(runs, 3, dtype=torch.float64)
    plugin = escaping(radius=2.0, waiting_time=1, loss_threshold=1e-3)
    moved = follow(plugin, objective(Flat(), runs), start, 1)[-1].numpy()
    volume = (np.linalg.norm(moved, axis=1) / 2) ** 3
    # (r/R)^d is uniform on [0, 1], and E wwᵀ = R²/(d + 2) I
    assert np.abs(np.sort(volume) - (np.arange(runs) + 0.5) / runs).max() < 1.63 / math.sqrt(runs)
    np.testing.assert_allclose(moved.T @ moved / runs, np.eye(3) * 4 / 5, atol=0.03)


CONSTANTS = {
    "smoothness": 3.0, "hessian_lipschitz": 2.0, "accuracy": 0.01, "c": 0.5, "failure": 0.1,
    "loss_gap": 4.0,
}  # fmt: skip


def test_literal_parameters_of_algorithm_1():
    plugin = optimizer("perturbed_gradient_descent", **CONSTANTS)
    # d ℓ Δ_f/(c ε² δ) = 10·3·4/(0.5·1e-4·0.1) = 2.4e7, whose logarithm is 16.99
    chi = 3 * 16.993564391
    found = plugin.parameters(10)
    assert found.rate == pytest.approx(0.5 / 3)
    assert found.radius == pytest.approx(math.sqrt(0.5) / chi**2 * 0.01 / 3, rel=1e-8)
    assert found.gradient_threshold == pytest.approx(math.sqrt(0.5) / chi**2 * 0.01, rel=1e-8)
    assert found.loss_threshold == pytest.approx(0.5 / chi**3 * math.sqrt(1e-6 / 2), rel=1e-8)
    assert found.waiting_time == math.ceil(chi / 0.25 * 3 / math.sqrt(0.02))


def test_chi_is_at_least_twelve():
    easy = CONSTANTS | {"accuracy": 1.0, "loss_gap": 0.01}
    found = optimizer("perturbed_gradient_descent", **easy).parameters(1)
    assert found.gradient_threshold == pytest.approx(math.sqrt(0.5) / 144)


def test_literal_parameters_escape_the_saddle():
    # on |y| ≤ 1 the Hessian diag(1, 3y² − 1) has ℓ = 2 and ρ = 6
    constants = {
        "smoothness": 2, "hessian_lipschitz": 6, "accuracy": 0.5, "c": 1, "failure": 0.1,
        "loss_gap": 0.5,
    }  # fmt: skip
    plugin = optimizer("perturbed_gradient_descent", **constants)
    weights = torch.zeros(20, 2, dtype=torch.float64)
    ends = follow(plugin, objective(StrictSaddle(), 20), weights, 300)[-1]
    second = 3 * ends[:, 1] ** 2 - 1
    assert second.min() >= -math.sqrt(6 * 0.5)
    assert (ends[:, 1].abs() - 1).abs().max() < 0.05


@pytest.mark.parametrize("name", ["rate", "radius", "loss_threshold", "waiting_time"])
def test_each_parameter_can_be_set(name):
    value = 17 if name == "waiting_time" else 0.017
    default = optimizer("perturbed_gradient_descent", **CONSTANTS).parameters(4)
    changed = optimizer("perturbed_gradient_descent", **CONSTANTS, **{name: value}).parameters(4)
    assert changed == default._replace(**{name: value})


def test_missing_constant_is_named():
    with pytest.raises(ValueError, match="loss_threshold or hessian_lipschitz is needed"):
        optimizer(
            "perturbed_gradient_descent",
            **{key: value for key, value in CONSTANTS.items() if key != "hessian_lipschitz"},
        )
