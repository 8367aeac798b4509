"""Every column of the analyses of gradient flows of linear networks, on hand-made results."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import module

from nnflow import Streams, share, torch
from nnflow.interfaces.registry import registry

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"
NAN = math.nan
FLOW = SimpleNamespace(name="gradient_flow", interval=0.5)
NORMAL = SimpleNamespace(name="normal")


def network(widths, values):
    return registry().get("models", "linear_network")(widths=widths, singular_values=values)


def descent(rate):
    return SimpleNamespace(name="gradient_descent", rate=rate)


def handmade(**configurations):
    """{label: (model, optimizer, initializer, {dataset: its content})}"""
    settings, datasets = {}, {}
    for label, (model, optimizer, initializer, content) in configurations.items():
        parts = {"model": model, "optimizer": optimizer, "initializer": initializer, "runs": 2}
        settings[label] = parts
        for name, dataset in content.items():
            datasets.setdefault(name, {})[label] = dataset
    return Handmade(settings, datasets)


def traces(steps, **arrays):
    axes = {"squared_norm": "layer", "imbalance": "number", "strength": "mode"}
    return xr.Dataset(
        {
            f"trace_{name}": (
                ("run", "trace_step", *([axes[name]] if name in axes else [])),
                np.array(values, dtype=float),
            )
            for name, values in arrays.items()
        },
        {"trace_step": steps},
    )


def test_columns_of_linear_invariants():
    def drifting(size):
        imbalance = size * np.array([[[0.0], [1]], [[0], [3]]])
        norms = [[[1, 1], [2 + size, 2]], [[1, 1], [3, 3]]]
        return {"training": traces([0, 1], imbalance=imbalance, squared_norm=norms)}

    results = handmade(
        slow=("m", descent(0.01), "i", drifting(0.01)),
        fast=("m", descent(0.02), "i", drifting(0.04)),
        # rounding has no slope
        balanced=("b", descent(0.01), "i", drifting(1e-14)),
        also_balanced=("b", descent(0.02), "i", drifting(4e-14)),
        none=("m", FLOW, "i", {"training": xr.Dataset()}),
    )
    sizes, none = [0.01, 0.04, 1e-14, 4e-14], (NAN, NAN, NAN)
    norm = [(2 + size) - 2 for size in sizes]
    expected = {
        "drift": [3 * size for size in sizes] + [NAN],
        "norm_drift": [*norm, NAN],
        "median_drift": [2 * size for size in sizes] + [NAN],
        "drift_slope": [(2, 2, 2), (2, 2, 2), none, none, none],
    }
    dataset = assert_columns(analysis("linear_invariants"), results, expected)
    assert dataset["where"].values.tolist()[:3] == ["slow", "slow", "fast"]


def test_columns_of_linear_convergence():
    """One 1 × 1 matrix after another, Y = 2: C₀ = 2, C₁ = 4, and 4s − 2s² exceeds −2g² + 4(1 + g)
    for s = 1, g = 3. −2g² + 4(1 + g) is 0 at 1 + √3."""
    model = network([1, 1, 1], [2.0])
    critical = xr.Dataset(
        {
            "loss": ("run", [0.0, 2.0, 0.7]),
            "kind": flags(["minimum", "saddle", "not_critical"], KINDS),
            "is_global": flags(["yes", "no", "no"], "no yes unknown"),
        }
    )
    trained = traces(
        [0, 1, 2],
        squared_norm=[[[1, 1], [3, 3], [NAN, NAN]]],
        imbalance=[[[0], [0], [NAN]]],
        strength=[[[1], [1], [NAN]]],
        loss=[[0.5, 0.5, NAN]],
    )
    start = SimpleNamespace(name="balanced_layers", strengths=[0])
    results = handmade(
        descent=(model, descent(0.1), start, {"training": xr.Dataset()}),
        flow=(model, FLOW, NORMAL, {"training": trained}),
    )
    results._datasets["critical_points"] = {"descent": critical, "flow": critical}
    expected = {
        "runs": [3, 3],
        "not_critical": [1, 1],
        "off_values": [1, 1],
        "not_global": [2, 2],
        "global_share": [share(1, 3)] * 2,
        "largest_norm": [NAN, math.sqrt(6)],
        "bound_violations": [NAN, 1],
        "norm_over_barrier": [NAN, 3 / (1 + math.sqrt(3))],
        "manifold_error": [2, NAN],
    }
    assert_columns(analysis("linear_convergence"), results, expected)


def test_growth_on_either_side_of_its_bound_is_told_apart():
    """The slope 4 − 2 lies between −2g² + 4(1 + g) at g = 2.41 and at g = 2.42."""
    trained = traces(
        [0, 1, 2],
        squared_norm=[[[1, 1], [2.41, 2.41], [2.42, 2.42]]],
        imbalance=[[[0]] * 3],
        strength=[[[1]] * 3],
        loss=[[0.5] * 3],
    )
    found = module("linear_convergence")._bounded(network([1, 1, 1], [2.0]), trained)
    assert found["bound_violations"] == 1


def test_columns_of_linear_rate():
    """One 1 × 1 matrix after another: α = w₂² − w₁²; losses that fall as exp(−ρt). Of the balanced
    ones the third has the margin 1, and the fifth is 2.4·10⁻⁴ off balance, within 1/(256·2³·2) of
    its square; the fourth and the sixth, 2.5·10⁻⁴ off, are not balanced."""

    def falling(first, second, rates):
        loss = np.exp(-np.outer(rates, 0.5 * np.arange(9)))
        content = {
            name: (("run", f"{name}_out", f"{name}_in"), np.reshape(w, (-1, 1, 1)))
            for name, w in (("w1", first), ("w2", second))
        }
        return {
            "initialization": xr.Dataset(content),
            "training": traces(np.arange(9), loss=loss),
        }

    def start(variance):
        return SimpleNamespace(name="common_starts", law=SimpleNamespace(variance=variance))

    model = network([1, 1, 1], [2.0])
    root = math.sqrt(2)
    second = [root, root, 1, 1, math.sqrt(1 - 2.4e-4), math.sqrt(1 - 2.5e-4)]
    near = falling([root, root, 1, 3, 1, 1], second, [3, 1, 3, 5, 3, 0])
    results = handmade(
        small=(model, FLOW, start(1.0), falling([1, 1], [2, 3], [7, 7])),
        large=(model, FLOW, start(4.0), falling([2, 2], [4, 6], [28, 28])),
        balanced=(
            model,
            FLOW,
            NORMAL,
            near,
        ),
        other=(model, descent(0.1), NORMAL, falling([1], [2], [7])),
    )
    none = (NAN, NAN, NAN)
    expected = {
        "rate_runs": [2, 2, NAN, NAN],
        "rate_violations": [1, 1, NAN, NAN],
        "rate_margin": [7 / 16, 28 / 64, NAN, NAN],
        "slower_than_one": [1, 1, NAN, NAN],
        "single_violations": [1, 1, NAN, NAN],
        "printed_alpha": [8, 32, NAN, NAN],
        "rate_exponent": [(1, 1, 1), none, none, none],
        "margin_runs": [NAN, NAN, 4, NAN],
        "margin_violations": [NAN, NAN, 1, NAN],
        "rate_over_margin": [NAN, NAN, 1 / 2, NAN],
    }
    dataset = assert_columns(analysis("linear_rate"), results, expected)
    assert dataset["run_alpha"].values.tolist() == [3, 8, 12, 32]


def test_the_product_of_the_alphas_bounds_the_rate_and_their_least_one_does_not():
    """w = (1, √1.5, √2): α = ½ twice; the loss falls as exp(−0.6 t), between 2·½·½ and 2·½."""
    first = {
        name: (("run", f"{name}_out", f"{name}_in"), np.full((1, 1, 1), value))
        for name, value in (("w1", 1.0), ("w2", math.sqrt(1.5)), ("w3", math.sqrt(2)))
    }
    loss = np.exp(-0.6 * 0.5 * np.arange(9))[None]
    content = {
        "initialization": xr.Dataset(first),
        "training": traces(np.arange(9), loss=loss),
    }
    found = analysis("linear_rate").compute(
        handmade(one=(network([1, 1, 1, 1], [2.0]), FLOW, NORMAL, content))
    )
    columns = ("rate_runs", "rate_violations", "single_violations", "slower_than_one")
    assert [found[name].item() for name in columns] == [1, 0, 1, 1]
    assert found["printed_alpha"].item() == pytest.approx(0.5)


def test_alpha_counts_from_the_largest_eigenvalue_and_as_printed_from_the_smallest():
    """C = diag(9, 0) − diag(1, 4), and d₂ = 1."""
    rate = module("linear_rate")
    layers = [np.diag([1.0, 2.0])[None], np.array([[[3.0, 0.0]]])]
    assert rate._alphas([2, 2, 1], layers).tolist() == [[8]]
    assert rate._printed_alphas([2, 2, 1], layers).tolist() == [[-4]]


def test_columns_of_saxe_modes():
    """u = s e^{2st}/(e^{2st} − 1 + s/u₀) for two layers; the last strength is off by `error`."""
    model = network([1, 1, 1], [2.0])
    time = np.arange(17) * 0.5
    u = 2 / (1 + np.exp(-4 * time))

    def solved(step, error):
        strength = u.copy()
        strength[-1] += error
        steps = (time / step).round().astype(int)
        critical = xr.Dataset({"max_eigenvalue": ("run", [4.0, 8.0])})
        trained = traces(steps, strength=np.tile(strength[:, None], (2, 1, 1)))
        return {"training": trained, "critical_points": critical}

    start = SimpleNamespace(name="balanced_layers", strengths=[1.0])
    still = SimpleNamespace(name="balanced_layers", strengths=[0.0])
    results = handmade(
        flow=(model, FLOW, start, solved(0.5, 0)),
        slow=(model, descent(0.01), start, solved(0.01, 0.001)),
        fast=(model, descent(0.02), start, solved(0.02, 0.003)),
        still=(model, FLOW, still, solved(0.5, 0)),
        normal=(model, FLOW, NORMAL, solved(0.5, 0)),
    )
    slope = math.log(3) / math.log(2)
    near = 2 - u[-1]
    expected = {
        "saxe_error": [Between(0, 1e-9), 0.001 - near, 0.003 - near, NAN, NAN],
        "saxe_error_slope": [NAN, slope, slope, NAN, NAN],
        "top_eigenvalue_ratio": [1.5, 1.5, 1.5, NAN, NAN],
    }
    dataset = assert_columns(analysis("saxe_modes"), results, expected)
    assert dataset["solved"].values.tolist() == ["flow"]


def test_a_mode_that_is_late_is_off_by_its_speed():
    """Of three layers: du/dt = 3u^{4/3}(2 − u). All points a hundredth late."""
    part, u = module("saxe_modes"), np.array([0.1, 0.5, 1.0, 1.5, 2.0])
    late = part.times(u[1:4], 0.1, 2.0, 3) + 0.01
    time = np.array([0, *late, 99])
    expected = 0.01 * (3 * u[1:4] ** (4 / 3) * (2 - u[1:4])).max()
    early = np.where((time > 0) & (time < 99), time - 0.02, time)
    for at in (time, early):
        assert part._error(at, u[None], 0.1, 2.0, 3) == pytest.approx(expected)
    # the worst of the runs, and what a run has not recorded
    runs = np.array([[0.1, np.nan, np.nan, np.nan, 2.0], u, [0.1, *u[1:4], np.nan]])
    assert part._error(time, runs[:2], 0.1, 2.0, 3) == pytest.approx(expected)
    assert part._error(time, runs, 0.1, 2.0, 3) == 0.5


def test_columns_of_linear_reduction():
    model = network([3, 4, 2], [2.0, 1.0])
    results = handmade(one=(model, FLOW, NORMAL, {}), again=(model, FLOW, NORMAL, {}))
    expected = {
        "reduction_loss_error": [Between(0, 1e-13), NAN],
        "regression_error": [Between(0, 1e-13), NAN],
        "reduction_back_error": [Between(1e-17, 1e-11), NAN],
        "reduced_flow": [0, NAN],
        "reduced_flow_whitened": [1, NAN],
    }
    assert_columns(analysis("linear_reduction", draws=3), results, expected)


def test_the_loss_is_least_where_the_product_is_that_of_linear_regression():
    part, drawn = module("linear_reduction"), np.random.default_rng(1)
    x, y, w = (drawn.standard_normal(size) for size in ((3, 9), (2, 9), (2, 3)))
    best = np.linalg.lstsq(x.T, y.T, rcond=None)[0].T
    for product in (best, w):
        expected = ((y - product @ x) ** 2).sum() / 2
        found = part._as_regression(x, y, {"w1": torch.as_tensor(product[None])})
        assert found == pytest.approx(expected, rel=1e-13)


def test_errors_of_linear_reduction_are_the_worst_of_the_draws(monkeypatch):
    """An error of 1e-9 is an error already."""
    draws = iter([(1e-3, 7e-3, 2e-3, 1e-9, 1e-9), (4e-3, 5e-3, 3e-3, 1.5e-9, 0.0)])
    monkeypatch.setattr(module("linear_reduction").LinearReduction, "_try", lambda *_: next(draws))
    expected = {
        "reduction_loss_error": [4e-3],
        "regression_error": [7e-3],
        "reduction_back_error": [3e-3],
        "reduced_flow": [0],
        "reduced_flow_whitened": [0.5],
    }
    results = handmade(one=(network([3, 4, 2], [2.0, 1.0]), FLOW, NORMAL, {}))
    assert_columns(analysis("linear_reduction", draws=2), results, expected)


def test_wrong_reductions_are_seen(monkeypatch):
    """A constant too small by 1/2, an inverse off by 1/4 in one entry of the first layer, and a
    regression without loss."""
    part, model = module("linear_reduction"), network([3, 4, 2], [2.0, 1.0])
    honest = type(model).reduction

    class Wrong:
        def __init__(self, right):
            self.right, self.constant = right, right.constant - 0.5
            self.forth, self.singular_values = right.forth, right.singular_values

        def back(self, weights):
            found = self.right.back(weights)
            found["w1"] = found["w1"] + torch.as_tensor(np.eye(4, 3) * [0.25, 0, 0])
            return found

    monkeypatch.setattr(type(model), "reduction", lambda self: Wrong(honest(self)))
    monkeypatch.setattr(part, "_as_regression", lambda x, y, weights: 0.0)
    losses = []
    loss = type(model).loss
    monkeypatch.setattr(
        type(model), "loss", lambda self, w, d: losses.append(loss(self, w, d)) or losses[-1]
    )
    streams = Streams(1, "one", np.arange(1), "reduction")
    errors = analysis("linear_reduction")._try(model, streams)
    assert errors[0] == pytest.approx(0.5 / float(losses[0]), rel=1e-9)
    assert errors[1] == 1
    assert errors[2] == pytest.approx(0.25, rel=1e-9)


def test_the_error_of_a_reduced_gradient_is_the_largest_of_its_layers():
    """Differences of 1 beside 4, and of 2 beside 4."""

    def tensors(first, second):
        return {"w1": torch.tensor(first), "w2": torch.tensor(second)}

    there = tensors([1.0, 4.0], [4.0, -2.0])
    reduced = SimpleNamespace(gradient=lambda weights, data: there)
    reduction = SimpleNamespace(forth=lambda weights: {n: 2 * w for n, w in weights.items()})
    model = SimpleNamespace(
        reduction=lambda: reduction,
        reduced=lambda: reduced,
        gradient=lambda weights, data: tensors([0.5, 2.5], [1.0, -1.0]),
    )
    assert module("linear_reduction")._gradient_error(model, there) == 0.5
