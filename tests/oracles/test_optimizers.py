"""Optimizers against plain NumPy loops, and against what is known of them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nnflow.interfaces import Model
from nnflow.objective import Objective
from nnflow.registry import registry
from nnflow.streams import Streams

RATE, MOMENTUM, STEPS = 0.07, 0.6, 40


class Quartic(Model):
    """L = Σ λᵢwᵢ²/2 + wᵢ⁴/4 + w₀w₁."""

    def shapes(self):
        return {"w": (3,)}

    def loss(self, weights, data):
        w = weights["w"]
        return (CURVATURE * w**2 / 2 + w**4 / 4).sum(1) + w[:, 0] * w[:, 1]


CURVATURE = torch.tensor([1.0, 0.5, 2.0], dtype=torch.float64)


class Quadratic(Model):
    """L = λw²/2."""

    curvature: float

    def shapes(self):
        return {"w": (1,)}

    def loss(self, weights, data):
        return self.curvature * weights["w"].square().sum(1) / 2


class StrictSaddle(Model):
    """L = x²/2 − y²/2 + y⁴/4: a strict saddle at 0, minima of loss −1/4 at (0, ±1)."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        x, y = weights["w"].unbind(1)
        return x**2 / 2 - y**2 / 2 + y**4 / 4


def optimizer(name, **settings):
    return registry().get("optimizers", name)(**settings)


def objective(model, runs):
    return Objective(model, {}, Streams(7, "all", np.arange(runs), "train"))


def first_weights(runs, size=3):
    return torch.as_tensor(Streams(1, "all", np.arange(runs), "initialize").normal(size))


def follow(plugin, problem, weights, steps, scale=None):
    """All weights along the way, (step, run, weight)."""
    state = plugin.start(weights, torch.ones(len(weights)).double() if scale is None else scale)
    path = [weights]
    for _ in range(steps):
        weights, state = plugin.step(problem, weights, state)
        path.append(weights)
    return torch.stack(path)


def slope(w):
    """∇ of `Quartic` for one run, in NumPy."""
    return CURVATURE.numpy() * w + w**3 + np.array([w[1], w[0], 0.0])


def curvature(w):
    """∇² of `Quartic` for one run, in NumPy."""
    cross = np.zeros((3, 3))
    cross[0, 1] = cross[1, 0] = 1
    return np.diag(CURVATURE.numpy() + 3 * w**2) + cross


# One run after another, as the textbooks print the rules.


def gradient_descent(w, rate):
    while True:
        w = w - rate * slope(w)
        yield w


def heavy_ball(w, rate):
    before = w
    while True:
        w, before = w - rate * slope(w) + MOMENTUM * (w - before), w
        yield w


def delayed_momentum(w, rate):
    v = np.zeros_like(w)
    while True:
        w, v = w - v, rate * slope(w) + MOMENTUM * v
        yield w


def nesterov(w, rate):
    before = w
    while True:
        y = w + MOMENTUM * (w - before)
        w, before = y - rate * slope(y), w
        yield w


def newton(w, rate):
    while True:
        w = w - rate * np.linalg.solve(curvature(w), slope(w))
        yield w


LOOPS = [gradient_descent, heavy_ball, delayed_momentum, nesterov, newton]


@pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: loop.__name__)
def test_same_path_as_a_plain_loop(loop):
    settings = {"rate": RATE}
    if loop not in (gradient_descent, newton):
        settings["momentum"] = MOMENTUM
    weights, scale = first_weights(5), torch.tensor([1, 0.5, 0.25, 1, 0.5]).double()
    plugin = optimizer(loop.__name__, **settings)
    path = follow(plugin, objective(Quartic(), 5), weights, STEPS, scale)
    for run in range(5):
        alone = loop(weights[run].numpy(), RATE * float(scale[run]))
        expected = [next(alone) for _ in range(STEPS)]
        np.testing.assert_allclose(path[1:, run].numpy(), expected, rtol=1e-10, atol=1e-12)


NAMES = {
    **{loop.__name__: {"rate": RATE} for loop in LOOPS},
    "perturbed_gradient_descent": {
        "rate": RATE, "radius": 0.1, "gradient_threshold": 0.5, "loss_threshold": 1e-3,
        "waiting_time": 5,
    },
}  # fmt: skip


@settings(max_examples=30)
@given(st.sampled_from(sorted(NAMES)), st.permutations(range(6)), st.integers(1, 5))
def test_a_run_does_not_see_its_companions(name, order, cut):
    plugin, problem, weights = (
        optimizer(name, **NAMES[name]),
        objective(Quartic(), 6),
        first_weights(6),
    )
    together = follow(plugin, problem, weights, 25)
    for rows in (order[:cut], order[cut:]):
        alone = follow(plugin, problem.take(np.array(rows)), weights[rows], 25)
        assert torch.equal(alone, together[:, rows])


@pytest.mark.parametrize("name", sorted(NAMES))
def test_step_leaves_its_arguments_as_they_are(name):
    plugin, problem, weights = (
        optimizer(name, **NAMES[name]),
        objective(Quartic(), 4),
        first_weights(4),
    )
    state = plugin.start(weights, torch.ones(4).double())
    for _ in range(12):
        before = {"weights": weights.clone(), **{k: v.clone() for k, v in state.items()}}
        moved, after = plugin.step(problem, weights, state)
        assert torch.equal(weights, before.pop("weights"))
        assert state.keys() == before.keys() == after.keys()
        assert all(torch.equal(state[key], value) for key, value in before.items())
        assert all(len(value) == 4 for value in after.values())
        weights, state = moved, after


def spectral_radius(name, rate_times_curvature, momentum):
    """Of the linear map (w, v) ↦ (w⁺, v⁺) on a quadratic with λ = 1, found by applying one
    step to the two unit vectors."""
    plugin = optimizer(name, rate=rate_times_curvature, momentum=momentum)
    weights = torch.tensor([[1.0], [0.0]], dtype=torch.float64)
    state = plugin.start(weights, torch.ones(2).double())
    state["velocity"] = 1 - weights
    moved, after = plugin.step(objective(Quadratic(curvature=1.0), 2), weights, state)
    matrix = np.stack([moved[:, 0].numpy(), after["velocity"][:, 0].numpy()])
    return np.abs(np.linalg.eigvals(matrix)).max()


LIMITS = {
    "heavy_ball": lambda beta: 2 * (1 + beta),
    "delayed_momentum": lambda beta: 1 - beta,
    "nesterov": lambda beta: 2 * (1 + beta) / (1 + 2 * beta),
}
POLYNOMIALS = {
    "heavy_ball": lambda q, beta: [1, -(1 + beta - q), beta],
    "delayed_momentum": lambda q, beta: [1, -(1 + beta), beta + q],
    "nesterov": lambda q, beta: [1, -(1 + beta) * (1 - q), beta * (1 - q)],
}


@pytest.mark.parametrize("name", LIMITS)
@given(beta=st.floats(0, 0.98), part=st.floats(0.01, 3))
def test_momentum_is_stable_exactly_below_its_limit(name, beta, part):
    for factor in (part, 0.999, 1.001):
        if abs(factor - 1) < 1e-4:
            continue
        q = factor * LIMITS[name](beta)
        radius = spectral_radius(name, q, beta)
        roots = np.roots(POLYNOMIALS[name](q, beta))
        assert radius == pytest.approx(np.abs(roots).max(), rel=1e-7)
        assert (radius < 1) == (factor < 1)


def test_delayed_momentum_at_its_limit():
    # β = 0.9: the limit is αλ = 0.1, twenty times below that of the standard heavy ball
    radii = [spectral_radius("delayed_momentum", q, 0.9) for q in (0.0999, 0.1001)]
    assert radii == pytest.approx([0.99995, 1.00005], abs=1e-6)
    assert spectral_radius("heavy_ball", 3.799, 0.9) < 1 < spectral_radius("heavy_ball", 3.801, 0.9)


def test_newton_finds_points_of_any_index():
    # start beside the saddle 0 and beside the minima of the double well
    weights = torch.tensor([[0.3, 0.2], [-1.0, 1.2], [2.0, -0.9]], dtype=torch.float64)
    ends = follow(optimizer("newton"), objective(StrictSaddle(), 3), weights, 12)[-1]
    expected = torch.tensor([[0.0, 0.0], [0.0, 1.0], [0.0, -1.0]], dtype=torch.float64)
    torch.testing.assert_close(ends, expected, rtol=0, atol=1e-15)


def test_newton_does_not_move_along_directions_without_curvature():
    class Trough(Model):
        """L = (a·w − 1)²/2: minimal on a plane."""

        def shapes(self):
            return {"w": (3,)}

        def loss(self, weights, data):
            return (weights["w"] @ NORMAL - 1).square() / 2

    NORMAL = torch.tensor([1.0, 2.0, -2.0], dtype=torch.float64)
    weights = first_weights(4)
    moved = follow(optimizer("newton"), objective(Trough(), 4), weights, 1)[-1]
    nearest = weights - (weights @ NORMAL - 1)[:, None] * NORMAL / 9
    torch.testing.assert_close(moved, nearest, rtol=0, atol=1e-14)


def test_newton_step_is_capped():
    weights = torch.tensor([[40.0, 3.0], [0.01, 1.01]], dtype=torch.float64)
    plugin = optimizer("newton", longest_step=0.5)
    path = follow(plugin, objective(StrictSaddle(), 2), weights, 1)
    whole = follow(optimizer("newton"), objective(StrictSaddle(), 2), weights, 1)
    lengths = (path[1] - path[0]).norm(dim=1)
    assert float(lengths[0]) == pytest.approx(0.5, rel=1e-14)
    assert torch.equal(path[1, 1], whole[1, 1])
    turned = (path[1, 0] - path[0, 0]) / 0.5 - (whole[1, 0] - whole[0, 0]) / (
        whole[1, 0] - whole[0, 0]
    ).norm()
    assert float(turned.norm()) < 1e-14


# Perturbed gradient descent


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
