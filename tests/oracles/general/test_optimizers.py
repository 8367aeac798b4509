"""Optimizers against plain NumPy loops, and against what is known of them."""

import numpy as np
import pytest
import torch
from descents import StrictSaddle, first_weights, follow, objective, optimizer
from hypothesis import given, settings
from hypothesis import strategies as st

from nnflow.interfaces import Model

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


def adam(w, rate):
    mean, square, step = np.zeros_like(w), np.zeros_like(w), 0
    while True:
        step += 1
        mean = MOMENTUM * mean + (1 - MOMENTUM) * slope(w)
        square = 0.999 * square + 0.001 * slope(w) ** 2
        root = np.sqrt(square / (1 - 0.999**step)) + 1e-8
        w = w - rate * mean / (1 - MOMENTUM**step) / root
        yield w


LOOPS = [gradient_descent, heavy_ball, delayed_momentum, nesterov, newton, adam]


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
    "trust_region": {"radius": 0.3},
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


@pytest.mark.parametrize("momentum", [0.9, 0.0])
def test_adam_is_that_of_torch(momentum):
    """RMSProp of torch starts with a bias, which leaves Adam without momentum for it."""
    problem, weights = objective(Quartic(), 1), first_weights(1)
    plugin = optimizer("adam", rate=RATE, momentum=momentum, memory=0.9, epsilon=1e-3)
    path = follow(plugin, problem, weights, STEPS)
    there = torch.nn.Parameter(weights.clone())
    known = torch.optim.Adam([there], lr=RATE, betas=(momentum, 0.9), eps=1e-3)
    for step in range(STEPS):
        known.zero_grad()
        there.grad = problem.gradient(there.detach())
        known.step()
        torch.testing.assert_close(path[step + 1], there.detach(), rtol=1e-11, atol=1e-13)


def test_a_preconditioner_is_what_the_step_was_divided_by():
    problem, weights = objective(Quartic(), 4), first_weights(4)
    plugin = optimizer("adam", rate=RATE, momentum=MOMENTUM)
    state = plugin.start(weights, torch.ones(4).double())
    assert torch.isnan(plugin.preconditioner(state)).all()
    for _ in range(3):
        moved, state = plugin.step(problem, weights, state)
        divided = RATE * state["mean"] / (weights - moved)
        torch.testing.assert_close(plugin.preconditioner(state), divided, rtol=1e-9, atol=0)
        weights = moved
    assert optimizer("gradient_descent", rate=1).preconditioner({}) is None


def test_adam_stays_where_gradients_vanish():
    class Blind(Quartic):
        def loss(self, weights, data):
            return weights["w"][:, 0].square()

    plugin = optimizer("adam", rate=RATE, epsilon=0)
    moved = follow(plugin, objective(Blind(), 2), first_weights(2), 3)
    assert torch.equal(moved[-1][:, 1:], moved[0][:, 1:]) and torch.isfinite(moved).all()


def test_a_trust_region_leaves_saddles_for_minima_which_it_meets_to_rounding():
    """The first run begins on the stable manifold of the saddle, but for rounding."""
    weights = torch.tensor([[0.7, 1e-9], [-1.0, 1.2], [2.0, -0.9], [9.0, 5.0]], dtype=torch.float64)
    problem = objective(StrictSaddle(), 4)
    path = follow(optimizer("trust_region", radius=0.5), problem, weights, 60)
    losses = torch.stack([problem.loss(at) for at in path])
    assert (losses.diff(dim=0) <= 1e-15).all()
    assert problem.gradient(path[-1]).norm(dim=1).max() < 1e-14
    np.testing.assert_allclose(path[-1].abs().numpy(), [[0, 1]] * 4, atol=1e-14)


def test_a_step_that_does_not_lower_the_loss_is_not_taken():
    class Wall(Quartic):
        """A quadratic with a wall that its curvature at 0 does not foretell."""

        def loss(self, weights, data):
            x = weights["w"][:, 0]
            return (x - 1).square() + 1e6 * (x - 0.5).relu().square()

    start = torch.zeros(1, 3).double()
    plugin = optimizer("trust_region", radius=4.0)
    state = plugin.start(start, torch.ones(1).double())
    moved, after = plugin.step(objective(Wall(), 1), start, state)
    assert torch.equal(moved, start) and float(after["radius"]) == pytest.approx(0.25)
