"""Rates of gradient descent: inequalities on hand-made runs, worst cases against closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Handmade, analysis, assert_columns, flags
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import Streams, UserError, share
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

STATUS = "converged step_limit diverged"


def separable(**settings):
    return registry().get("models", "separable")(**settings)


@pytest.mark.parametrize("function", ["square", "log_cosh", "dips"])
def test_separable_has_its_constant(function):
    """Second derivatives on a fine grid: at most 1, which is attained, at 0."""
    model = separable(curvatures=[1], function=function)
    w = torch.linspace(-20, 20, 40001, dtype=torch.float64)[:, None]
    slope = model.gradient({"w": w}, {})["w"][:, 0].numpy()
    second = np.diff(slope) / np.diff(w[:, 0].numpy())
    assert np.abs(second).max() == pytest.approx(1, abs=1e-5)
    assert (model.loss({"w": w}, {}) >= 0).all()
    assert separable(curvatures=[0.5, -3], function=function).smoothness({}) == 3


def test_a_lower_bound_is_refused_where_there_is_none():
    with pytest.raises(UserError, match="curvature below 0"):
        separable(curvatures=[1, -1]).lower_bound()


def test_the_bound_of_the_network_holds():
    """Spectral norms of Hessians at random weights: below M, and not by orders of magnitude."""
    model = registry().get("models", "fixed_readout")(readout=[1.5, -1, 0.5, 2])
    data = registry().get("datasets", "function_samples")(function="sine").load(None)
    tensors = {name: torch.as_tensor(array) for name, array in data.items()}
    weights = torch.as_tensor(np.random.default_rng(1).normal(0, 3, (300, 8)))
    weights[0] = 0
    hessian = Objective(model, tensors, Streams(0, "", np.arange(300), "")).hessian(weights)
    norms = torch.linalg.matrix_norm(hessian, ord=2)
    assert 0.05 * model.smoothness(data) < norms.max() <= model.smoothness(data)


def descending(lift=0.0):
    """Two runs on L = ½w², M = 1, with α = 1/2 and 2.5; lift: added to the third loss."""
    n = np.arange(30)
    w = np.stack([0.5**n, (-1.5) ** n])
    loss = w**2 / 2
    loss[0, 2] += lift
    trained = xr.Dataset(
        {
            "trace_step": n,
            "trace_loss": (("run", "trace_step"), loss),
            "trace_gradient_norm": (("run", "trace_step"), np.abs(w)),
            "status": flags(["step_limit", "diverged"], STATUS),
        },
        {"rate": ("run", [0.5, 2.5])},
    )
    parts = {
        "model": separable(curvatures=[1.0]),
        "dataset": None,
        "optimizer": SimpleNamespace(rate=0.5),
    }
    return trained, Handmade({"all": parts}, {"training": {"all": trained}})


def test_columns_of_descent_inequality():
    _, results = descending()
    # c = α(1 − α/2) = 3/8; a step's fall is ½w²(1 − 1/4) = ⅜w²: promise and fall are equal
    expected = {
        "smoothness": [1],
        "inequality_exceptions": [share(0, 1)],
        "sharpness": [1],
        "bound_exceptions": [share(0, 1)],
        "bound_ratio": [0.75],  # at N = 1: w²/(½w²/(3/8))
        "sum_exceptions": [share(0, 1)],  # Σw² = 4/3 is Δ/c exactly, less the tail of 30 points
        "stop_exceptions": [share(0, 1)],
        "diverged_below": [share(0, 1)],
        "diverged_above": [share(1, 1)],
    }
    dataset = assert_columns(analysis("descent_inequality", points=30), results, expected)
    assert dataset["least_gradient"].values[0, 0] == 1  # |∇L|² = 2MΔ on the parabola
    _, results = descending(lift=0.01)
    found = analysis("descent_inequality").compute(results)
    assert found["inequality_exceptions"] == 1 and found["sharpness"] < 1


def test_columns_of_descent_inequality_of_another_curvature_and_rates():
    """L = w² − ¼, M = 2, with αM = ½, 1.1, 2 and 2.5: c = 3/16 and 0.2475 below 2. The fall is as
    promised, and the squared gradients of the second run sum up to Δ/c, but for rounding."""
    n, rates = np.arange(8), np.array([0.25, 0.55, 1.0, 1.25])
    w = (1 - 2 * rates[:, None]) ** n
    trained = xr.Dataset(
        {
            "trace_step": n,
            "trace_loss": (("run", "trace_step"), w**2 - 0.25),
            "trace_gradient_norm": (("run", "trace_step"), np.abs(2 * w)),
            "status": flags(["step_limit", "step_limit", "step_limit", "diverged"], STATUS),
        },
        {"rate": ("run", rates)},
    )
    model = SimpleNamespace(smoothness=lambda data: 2.0, lower_bound=lambda: -0.25)
    parts = {"model": model, "dataset": None, "optimizer": SimpleNamespace(rate=0.5)}
    expected = {
        "smoothness": [2],
        "inequality_exceptions": [share(0, 2)],
        "sharpness": [1],
        "bound_exceptions": [share(0, 2)],
        "bound_ratio": [0.99],
        "sum_exceptions": [share(0, 2)],
        "stop_exceptions": [share(0, 2)],
        "diverged_below": [share(0, 2)],
        "diverged_above": [share(1, 2)],
    }
    results = Handmade({"all": parts}, {"training": {"all": trained}})
    dataset = assert_columns(analysis("descent_inequality", points=3), results, expected)
    # of the run whose αM is 1.1
    assert dataset["point"].values.tolist() == [1, 3, 8]
    np.testing.assert_allclose(dataset["least_gradient"], [[1, 1e-4, 1e-14]])


@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.parametrize(("part", "broken"), [(0.5e-13, 0), (2e-13, 1), (0.5, 1)])
def test_an_exception_is_one_by_more_than_rounding(part, broken, scale):
    """M = α = 1, c = ½: of the loss 1 a gradient 1 promises half; Δ/c = 2 bounds its square and
    the sum of squares."""
    tested, root = module("descent_inequality").tested, math.sqrt(scale)

    def exceptions(losses, gradients):
        one = np.array([losses]) * scale, np.array([gradients]) * root
        found = tested(*one, np.array([1.0]), 1.0)
        names = ("inequality_exceptions", "bound_exceptions", "sum_exceptions")
        return [found[name][0] for name in names]

    assert exceptions([1, 0.5 + part], [1, 0.0])[0] == broken
    assert exceptions([1, 0.0], [math.sqrt(2 * (1 + part)), 0.0])[1] == broken
    assert exceptions([1, 0.0], [1.0, math.sqrt(1 + 2 * part)])[2] == broken


def test_a_ratio_of_rounding_is_no_sharpness():
    """Promises of 1.5·10⁻⁷ and 0.9·10⁻⁷ of the first loss."""
    for promised, sharpness in ((1.5e-7, 0.5), (0.9e-7, np.nan)):
        losses, gradients = [[1, 1 - promised / 2]], [[math.sqrt(2 * promised), 0.0]]
        found = module("descent_inequality").tested(
            np.array(losses), np.array(gradients), np.array([1.0]), 1.0
        )
        assert found["sharpness"] == pytest.approx(sharpness, rel=1e-6, nan_ok=True)


def test_each_accuracy_has_its_own_promise():
    """M = ½, c = Δ = 1: |∇L|² < 10^{−½} is promised at the fourth point, and 1 at the second."""
    part = module("descent_inequality")
    np.testing.assert_allclose(part.ACCURACIES, 10 ** (np.arange(25) / 4 - 6))
    least = np.array([[0.9, 0.4, 0.4, 0.3, 0.3], [0.9, 0.4, 0.4, 0.4, 0.3]])
    assert part._late(least, np.ones(2), np.ones(2), 0.5).tolist() == [False, True]
    assert part._late(least[:, :4], np.ones(2), np.ones(2), 0.5).tolist() == [False, True]
    assert part._late(least[:, :3], np.ones(2), np.ones(2), 0.5).tolist() == [False, False]


def test_late_and_large_gradients_are_seen():
    """A gradient that stays at its first value breaks the bound and the stop rule."""
    flat = np.full((1, 400), 1.0)
    found = module("descent_inequality").tested(flat, flat, np.array([1.0]), 1.0)
    assert found["bound_exceptions"][0] == found["stop_exceptions"][0] == 1
    assert found["inequality_exceptions"][0] == found["sum_exceptions"][0] == 1
    assert found["bound_ratio"] == pytest.approx(200)  # N/2: the bound is 2Δ/N
    # another unit of the loss changes nothing
    scaled = module("descent_inequality").tested(100 * flat, 10 * flat, np.array([1.0]), 1.0)
    assert scaled["stop_exceptions"][0] == 1
    assert scaled["bound_ratio"] == pytest.approx(200)


def test_a_run_is_late_one_point_after_the_one_that_is_promised():
    """M = ½, c = Δ = 1: |∇L|² < 1 is promised at the second point."""
    late = module("descent_inequality")._late
    least = np.array([[1.5, 0.5, 0.5], [1.5, 1.5, 0.5], [1.5, 1.5, 1.5], [1.5, 1.0, 0.5]])
    found = late(least, np.ones(4), np.ones(4), 0.5)
    assert found.tolist() == [False, True, True, True]
    # two points are too few to say
    assert not late(least[:, :1], np.ones(4), np.ones(4), 0.5).any()


def test_every_step_has_to_be_recorded():
    trained, results = descending()
    results._datasets["training"]["all"] = trained.isel(trace_step=[0, 1, 5, 9])
    with pytest.raises(UserError, match=r"trace\.points_per_decade"):
        analysis("descent_inequality").compute(results)


def test_columns_of_worst_cases():
    results = Handmade({"a": {}, "b": {}})
    two = lambda value, **slack: [pytest.approx(value, **slack)] * 2  # noqa: E731
    expected = {
        "convex_error": two(0, abs=1e-12),
        "nonconvex_error": two(0, abs=1e-12),
        "distance_error": two(0, abs=1e-12),
        "convex_looseness": two(2 - 1 / 101),
        "nonconvex_looseness": two(1.5 - 1 / 202),
        "best_bound": two(1, abs=1e-6),
        "best_nonconvex": two(2 / math.sqrt(3), abs=1e-6),
        "best_convex_1": two(1.5),
        "best_convex_10": two(1.8341, abs=5e-5),
        "best_convex_100": two(1.9705, abs=5e-5),
        "best_quadratic": two(20 / 11, abs=1e-6),
        "quadratic_rate": two(9 / 11, abs=1e-6),
        "envelope_slope": two(-0.5, abs=5e-3),
        "slope_2": two(-3 / 4, abs=5e-3),
        "slope_1": two(-2 / 3, abs=5e-3),
        "slope_half": two(-3 / 5, abs=5e-3),
        "slope_tenth": two(-1.1 / 2.1, abs=5e-3),
        "still_falls": [share(0, 4)] * 2,
    }
    assert_columns(analysis("worst_cases", steps=3000), results, expected)


def test_curves_of_worst_cases_are_those_of_the_formulas():
    """10 steps: the lecture's bound is least, 2, at αM = 1; Huber function and parabola leave
    1/(20h + 1) and (1 − h)²⁰, quadratics with κ = 10 the larger of |1 − h/10| and |1 − h|."""
    found = analysis("worst_cases", steps=20).compute(Handmade({"a": {}}))
    h = 0.4 + 0.01 * np.arange(159)
    np.testing.assert_allclose(found["relative_rate"], h)
    other = 2 / (10 * np.minimum(4 * h - h**2, 4 * h - h**3) + 2)
    curves = [
        1 / (h * (1 - h / 2)),
        np.where(h <= math.sqrt(3), other, np.nan),
        np.maximum(1 / (20 * h + 1), (1 - h) ** 20),
        np.maximum(np.abs(1 - h / 10), np.abs(1 - h)) ** 20,
    ]
    for row, curve in zip(found["worst"].values, curves, strict=True):
        np.testing.assert_allclose(row, curve / np.nanmin(curve), rtol=1e-9)
    # the worst gradient of n points has the square 1/(2n − 1)
    count = found["worst_count"].values
    assert (count[0], count[-1], len(count)) == (1, 1000, len(set(np.geomspace(1, 1000, 40) // 1)))
    np.testing.assert_allclose(found["envelope"], (2 * count - 1) ** -0.5, rtol=1e-9)
    # descent on 1/x, M = 2
    x, slopes = 1.0, []
    for _ in range(20):
        slopes.append(x**-2)
        x += x**-2 / 2
    count = found["count"].values
    assert count.tolist() == list(range(1, 21))
    np.testing.assert_allclose(found["power_gradient"].sel(power=1), slopes, rtol=1e-12)
    assert found["power_gradient"].values[0].tolist() == [1, 1, 1, 1]


def test_the_slowest_huber_function_is_descended_to_its_kink():
    """Slope s = 1/√7 and N = 4, h = ¾: the loss there is s²/2, from ½ at first."""
    gradient, loss = module("worst_cases").worst_convex(4, 0.75)
    assert (gradient, loss) == pytest.approx((7**-0.5, 1 / 14), rel=1e-12)


def test_errors_of_worst_cases_are_the_largest(monkeypatch):
    """Each is wrong by a part of αM times the steps, which are 1 and 100 at most."""
    worst, asked = module("worst_cases"), []

    def exact(steps, h):
        return 1 / (2 * steps * h + 1) * (1 + steps * h / 1000)

    def convex(steps, h):
        asked.append((steps, h))
        return math.sqrt(exact(steps, h)), 0.0

    monkeypatch.setattr(worst, "worst_convex", convex)
    monkeypatch.setattr(worst, "worst_nonconvex", lambda steps, h: math.sqrt(
        worst.nonconvex_formula(steps, h) * (1 + steps * h / 500)
    ))  # fmt: skip
    monkeypatch.setattr(worst, "convex_losses", lambda steps, h: (exact(steps, h), 0.0))
    monkeypatch.setattr(
        worst, "farthest_gradient", lambda steps, h: (1 + steps * h / 250) / (steps * h + 1)
    )
    found = worst._errors()
    assert asked[:-1] == [(n, h) for n in (1, 2, 4, 10, 100) for h in (0.25, 0.5, 0.75, 1.0)]
    assert found["convex_error"] == pytest.approx(0.1)
    assert found["nonconvex_error"] == pytest.approx(0.2)
    assert found["distance_error"] == pytest.approx(0.4)
    assert found["convex_looseness"] == pytest.approx(201 / 101 / 1.1)
    assert found["nonconvex_looseness"] == pytest.approx(302 / 202 / 1.2)
    monkeypatch.setattr(worst, "farthest_gradient", lambda steps, h: 1 / (steps * h + 1))
    assert worst._errors()["distance_error"] == pytest.approx(0.1)
    # too small is an error as well
    monkeypatch.setattr(
        worst, "worst_convex", lambda steps, h: ((0.5 / (2 * steps * h + 1)) ** 0.5, 0)
    )
    monkeypatch.setattr(
        worst, "worst_nonconvex", lambda steps, h: (0.75 * worst.nonconvex_formula(steps, h)) ** 0.5
    )
    found = worst._errors()
    assert (found["convex_error"], found["nonconvex_error"]) == pytest.approx((0.5, 0.25))


def test_slopes_are_those_of_the_last_factor_of_ten():
    count = np.arange(1, 101)
    values = np.where(count < 10, 1.0, (count / 10.0) ** -2)[:, None]
    last = module("worst_cases").last_slopes
    assert last(values) == pytest.approx([-2])
    assert last(values[::3], count[::3]) == pytest.approx([-2])


def test_no_huber_function_leaves_more_than_the_worst():
    """From x = R = 1, N = 4, h = ¾: over all slopes the largest end is that of the formula, and at
    its slope."""
    worst, steps, h = module("worst_cases"), 4, 0.75
    slope = np.linspace(0.01, 0.99, 981)
    x = np.ones_like(slope)
    for _ in range(steps):
        x -= h * np.clip(x, -slope, slope)
    gradient = np.minimum(x, slope)
    loss = np.where(x > slope, 2 * slope * x - slope**2, x**2)
    for ends, formula, found in (
        (gradient, 1 / (steps * h + 1), worst.farthest_gradient(steps, h)),
        (loss, 1 / (2 * steps * h + 1), worst.convex_losses(steps, h)[0]),
    ):
        assert found == pytest.approx(formula, rel=1e-12)
        assert formula * 0.99 < ends.max() <= formula * (1 + 1e-12)
        assert slope[ends.argmax()] == pytest.approx(formula, abs=2e-3)


def test_no_random_function_is_worse_than_the_worst():
    """Random piecewise linear slopes with |f''| ≤ 1: min|f'|² never exceeds the formula."""
    worst, rng = module("worst_cases"), np.random.default_rng(3)
    steps, largest = 4, 0.0
    for _ in range(60):
        kinks = np.concatenate([[-200.0], np.cumsum(rng.uniform(0.1, 1, 40)) - 15, [200.0]])
        curvature = rng.uniform(-1, 1, len(kinks) - 1)
        curvature[[0, -1]] = 1
        slope = np.concatenate([[0], np.cumsum(curvature * np.diff(kinks))])
        x = np.linspace(-200, 200, 20001)
        f = np.interp(x, kinks, slope)
        f -= f[len(f) // 2]
        value = np.concatenate([[0], np.cumsum((f[1:] + f[:-1]) / 2 * np.diff(x))])
        for h in (0.5, 1.0, 1.5):
            at, least = rng.uniform(-10, 10), np.inf
            gap = np.interp(at, x, value) - value.min()
            for _ in range(steps + 1):
                g = np.interp(at, x, f)
                least, at = min(least, g**2), at - h * g
            largest = max(largest, least / (2 * gap) / worst.nonconvex_formula(steps, h))
    assert 0.1 < largest <= 1


@pytest.mark.slow
def test_the_study(root, tmp_path):
    study = load_study(study_file("descent_rate", root / "config/studies"))
    job = complete(study, tmp_path)
    found = verdicts(job)
    assert found.pop("strict_descent[function=square]") == "corrected"
    assert set(found.values()) <= AGREE
    assert_drawn(job.folder, study.settings.figures)
