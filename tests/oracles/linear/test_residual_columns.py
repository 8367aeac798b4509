"""Every column of the analyses of residual linear networks, on hand-made results."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import module

from nnflow import share
from nnflow.base.streams import Streams
from nnflow.interfaces.registry import registry

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"
NAN = math.nan


def network(**settings):
    return registry().get("models", "residual_linear_network")(**settings)


def handmade(datasets=None, **models):
    optimizer = SimpleNamespace(name="gradient_descent", rate=0.5)
    settings = {label: {"model": m, "optimizer": optimizer} for label, m in models.items()}
    return Handmade(settings, datasets)


def test_columns_of_residual_critical_points():
    eye = np.eye(2)
    v = np.array(
        [
            [0.5 * eye, -eye / 3],  # 1.5 · 2/3 = 1 is the target
            [0.3 * eye, 0.3 * eye],
            [-eye, 2 * eye],
            [0.1 * eye, 0.1 * eye],
            [0.995 * eye, 0.1 * eye],  # within the margin
        ]
    )
    critical = xr.Dataset(
        {
            "v": (("run", "layer", "output", "input"), v),
            "loss": ("run", [0.0, 1.0, 2.0, 0.0, 3.0]),
            "kind": flags(["degenerate", "saddle", "saddle", "not_critical", "saddle"], KINDS),
            "is_global": flags(["yes", "no", "no", "yes", "no"], "no yes unknown"),
        }
    )
    results = handmade(
        {"critical_points": {"all": critical, "none": critical.isel(run=[3])}},
        all=network(depth=2, values=(1, 1)),
        none=network(depth=2, values=(1, 1)),
    )
    expected = {
        "runs": [5, 1],
        "critical": [4, 0],
        "inside": [2, 0],
        "counterexamples": [1, 0],
        "counterexample_share": [share(1, 2), share(0, 0)],
        "elsewhere": [3, 0],
        "elsewhere_norm": [0.3, NAN],
        "elsewhere_value": [1.3, NAN],
        "regular_elsewhere": [2, 0],
        "end_norm": [0.5, NAN],
        "scaled_end_norm": [1.0, NAN],
    }
    dataset = assert_columns(analysis("residual_critical_points"), results, expected)
    assert dataset["gap"].values[0].tolist() == [0, 1, 2, 0, 3]
    assert np.isnan(dataset["gap"].values[1, 1:]).all()


def test_columns_of_identity_factors():
    plugin = analysis("identity_factors", size=2, count=1, matrices=[[[2, 0], [0, 0.5]]])
    results = handmade(
        two=network(depth=2, values=(4.0, 0.25)), negative=network(depth=2, values=(1.0, -1.0))
    )
    expected = {
        "matrices": [2, 2],
        "reconstruction_error": [Between(1e-17, 1e-12)] * 2,
        "limit_error": [Between(1e-4, 0.05)] * 2,
        "above_bound": [0, 0],
        "negative_inside": [0, 0],
        "negative_norm": [Between(1, 1.01)] * 2,
        "euler_error": [Between(1e-17, 1e-14)] * 2,
        # one factor B and one I
        "factor_norm": [3, NAN],
        "scaled_factor_norm": [6, NAN],
    }
    dataset = assert_columns(plugin, results, expected)
    assert dataset["limit"].values[1] == pytest.approx(2 * math.log(2))
    # K/2 roots of 2 are B's: 2^(2/K) − 1, times K
    assert dataset["scaled_norm"].sel(factors=8).values[1] == pytest.approx(8 * (2**0.25 - 1))


def test_the_bound_of_theorem_2_1_is_the_printed_one():
    """γ = 1: 2(√π + √3)²/K = 24.56310/K, for K ≥ 3."""
    measured = module("identity_factors")._measured
    matrix = np.diag([math.e, 1.0])
    assert measured(matrix, 4, "test")[2] == pytest.approx(24.5631058 / 4, rel=1e-6)
    assert measured(matrix, 3, "test")[2] == pytest.approx(24.5631058 / 3, rel=1e-6)
    assert measured(matrix, 2, "test")[2] == math.inf


def test_the_error_of_a_law_is_the_largest(monkeypatch):
    """A weight that stays 1 is off (1 + 2t)^{−1/2} by the factor √201 at the time 100."""
    part = module("identity_descent")
    monkeypatch.setattr(part, "mode_flow", lambda target, depth, times: np.zeros(len(times)))
    found = part._tails.__wrapped__(2, 100.0)
    assert found["zero_law_error"] == pytest.approx(math.sqrt(201) - 1)


def test_the_error_of_a_product_is_relative_to_the_largest_entry(monkeypatch):
    part = module("identity_factors")
    monkeypatch.setattr(part, "identity_factors", lambda *_: np.diag([4.0, 1.0])[None])
    assert part._measured(np.diag([4.0, 2.0]), 1, "test")[:2] == (4, 0.25)


def test_random_matrices_have_positive_determinants():
    drawn = analysis("identity_factors", size=3, count=50)._random(1)
    assert drawn.shape == (50, 3, 3)
    assert (np.linalg.det(drawn) > 0).all()


def test_rotations_of_space_are_as_many_half_turns_and_their_error_is_the_largest(monkeypatch):
    """A half-turn has the trace −1; beside the identity one of its entries is off by 4/3."""
    part, traces = module("identity_factors"), []
    monkeypatch.setattr(part, "axis_and_angle", lambda turn: traces.append(np.trace(turn)) or [0])
    monkeypatch.setattr(part, "turned", lambda _: np.eye(3))
    assert part._euler_error(1, 5) >= 4 / 3 - 1e-9
    assert (np.abs(np.array(traces) + 1) < 1e-9).sum() == 5 and len(traces) == 11


def test_norms_above_the_bound_are_counted(monkeypatch):
    part = module("identity_factors")
    monkeypatch.setattr(part, "_measured", lambda matrix, depth, owner: (2.0, 0.0, depth / 4))
    plugin = analysis("identity_factors", size=2, count=3, depths=[2, 4, 16])
    found = plugin.compute(handmade(one=network(depth=2, values=(1.0, -1.0))))
    assert found["above_bound"].item() == 6


def test_columns_of_residual_gradient_bound():
    results = handmade(two=network(depth=2, values=(1, 1)), five=network(depth=5, values=(1, 1)))
    expected = {
        "draws": [6, 6],
        "bound_violations": [0, 0],
        "least_bound_ratio": [Between(1, 1e9)] * 2,
        "attained_ratio": [1, 1],
        "optimal_loss": [(Between(0.95, 1.05), Between(0.9, 1), Between(1, 1.1))] * 2,
    }
    plugin = analysis("residual_gradient_bound", targets=2, draws=3)
    dataset = assert_columns(plugin, results, expected)
    logs = dataset["log_bound_ratio"].values
    np.testing.assert_allclose(dataset["least_bound_ratio"], 10 ** logs.min(axis=1))
    counted = module("residual_gradient_bound")._counts(np.array([-1.0, 0, 2]))
    assert counted == {"draws": 3, "bound_violations": 1, "least_bound_ratio": 0.1}


def test_drawn_factors_have_uniform_norms_and_the_largest_is_told():
    plugin = analysis("residual_gradient_bound", draws=400)
    factors, largest = plugin._weights(Streams(0, "all", np.arange(1), "x"), 0, 2, 3)
    norms = np.linalg.norm(factors.numpy(), ord=2, axis=(2, 3))
    np.testing.assert_allclose(norms.max(axis=1), largest)
    # mean and spread of a uniform number, four errors of 800 of them
    assert abs(norms.mean() - 0.5) < 4 * math.sqrt(1 / 12 / 800)
    assert norms.max() <= 1 and norms.min() < 0.02


def test_the_sampled_loss_is_that_of_the_noise(monkeypatch):
    """Of any product but R it is larger by tr(ΔΔᵀ)/d."""
    bound, model = analysis("residual_gradient_bound"), network(depth=4, values=(1, 1))
    # a product 0 in place of R = BO with the singular values 2, 1 and ½
    nothing = lambda target, depth, owner: -np.eye(3)[None]  # noqa: E731
    monkeypatch.setattr(module("residual_gradient_bound"), "identity_factors", nothing)
    _, low, high = bound._optimal_loss(handmade(one=model), model)
    assert low < 1 + 5.25 / 3 < high
    assert high - low < 0.2


def test_why_the_determinant_is_positive(monkeypatch):
    """The least norm of a factor of a product of negative determinant is just above 1."""
    part = module("identity_factors")
    found = part._determinants(1, 2000, 5)
    assert found["negative_inside"] == 0
    assert 1 < found["negative_norm"] < 1.01
    longer = part.Streams

    class Wider(longer):
        def uniform(self, *args, **settings):
            return 0.5 * super().uniform(*args, **settings)

    monkeypatch.setattr(part, "Streams", Wider)
    # all norms below 1: no product of negative determinant is left
    assert part._determinants(1, 2000, 5) == {"negative_inside": 0, "negative_norm": math.inf}


def test_products_of_factors_near_the_identity_are_counted(monkeypatch):
    """If all determinants were negative: those of the products with all norms below 1."""
    part = module("identity_factors")
    monkeypatch.setattr(part.np.linalg, "slogdet", lambda m: (-np.ones(m.shape[:-2]), None))
    found = part._determinants(1, 2000, 5)
    # ⅛ of one half of the products, and ½ of the other
    assert 500 < found["negative_inside"] < 750
    assert found["negative_norm"] < 0.2


def test_a_rotation_of_space_has_an_axis_and_an_angle():
    factors = module("_identity_factors")
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    axis, angle = factors.axis_and_angle(quarter)
    np.testing.assert_allclose(angle * axis, [0, 0, math.pi / 2], atol=1e-15)
    np.testing.assert_allclose(
        factors.turned(np.array([0, 0, 1.0]), math.pi / 2), quarter, atol=1e-15
    )
    # a reflection has no such axis: what is built is far from it
    mirror = np.diag([1.0, 1, -1])
    assert np.abs(factors.turned(*factors.axis_and_angle(mirror)) - mirror).max() > 0.5


def test_columns_of_scalar_descent():
    models = {f"k{depth}": network(depth=depth, values=(1, 1)) for depth in (1, 2, 3, 6)}
    plugin = analysis("scalar_descent", draws=3, deepest=3)
    small, zero = Between(0, 1e-8), Between(0, 1e-4)
    expected = {
        "square_slope_error": [NAN, *[Between(0, 1e-13)] * 3],
        "positive_gap": [NAN, small, small, NAN],
        "negative_gap": [NAN, small, small, NAN],
        "tied_product": [NAN, zero, zero, NAN],
    }
    assert_columns(plugin, handmade(**models), expected)


def test_unequal_weights_follow_their_squares(monkeypatch):
    """At w = (1, 2), r = ½: dw₁²/dt = 2·1·2·(½ − 2) = −6, and of twice the loss twice that."""
    part = module("scalar_descent")
    starts = np.array([[1.0, 2.0]])
    assert part.slope_error(network(depth=2, values=(1, 1)), starts) < 1e-14
    assert part.others(np.array([2.0, 3, 5])).tolist() == [15, 10, 6]

    class Twice(type(network(depth=2, values=(1, 1)))):
        def gradient(self, weights, data):
            return {"v": 2 * super().gradient(weights, data)["v"]}

    # r = −½ has the larger error: 2q(r − q) = 4·(−2.5); at w = (1, 1) it is −3
    starts = np.array([[1.0, 2.0], [1.0, 1.0]])
    assert part.slope_error(Twice(depth=2, values=(1, 1)), starts) == pytest.approx(10)


def test_ends_of_products_are_judged_by_the_worst(monkeypatch):
    """Of two starts; q is meant to be ½, −½ and 0."""
    ends = iter([0.6, 0.25, -0.75, -0.5, 0.125, -0.0625])
    plugin = analysis("scalar_descent", draws=2)
    monkeypatch.setattr(type(plugin), "_end", lambda *_: next(ends))
    row = plugin._row(network(depth=2, values=(1, 1)), 1)
    found = [row[name] for name in ("positive_gap", "negative_gap", "tied_product")]
    assert found == [0.25, 0.25, 0.125]


def test_norms_and_values_of_layers_and_the_gap_above_the_infimum():
    """V = (diag(½, ¼, −¾), 0): the least singular value of I + V is ¼; noise costs 0.2·3/2."""
    model = network(depth=2, values=(1, 1, 1), noise=0.2)
    v = np.zeros((2, 2, 3, 3))
    v[0, 0], v[1, 1] = np.diag([0.5, 0.25, -0.75]), np.diag([0.5, 0.5, 0.5])
    critical = xr.Dataset(
        {
            "v": (("run", "layer", "output", "input"), v),
            "loss": ("run", [0.5, 0.3]),
            "kind": flags(["minimum", "minimum"], KINDS),
            "is_global": flags(["yes", "yes"], "no yes unknown"),
        }
    )
    part = module("residual_critical_points")
    measured = part._by_run(model, critical)
    np.testing.assert_allclose(measured["largest_norm"], [0.75, 0.5])
    np.testing.assert_allclose(measured["smallest_value"], [0.25, 1])
    np.testing.assert_allclose(measured["gap"], [0.2, 0], atol=1e-15)
    found = part._at_infimum(model, measured, critical)
    assert found == {"end_norm": 0.75, "scaled_end_norm": 1.5}


def test_a_gradient_is_below_its_bound_by_more_than_rounding(monkeypatch):
    part = module("residual_gradient_bound")
    counts = part._counts(np.array([-1.5e-9, -0.5e-9, 3.0]))
    assert counts["bound_violations"] == 1
    monkeypatch.setattr(part, "_logs", lambda *_: np.array([0.25]))
    assert part._attained(network(depth=2, values=(1, 1))) == pytest.approx(10**0.25)


def test_the_bound_has_the_least_input_and_is_above_the_infimum():
    """4K(1 − τ)^{2(K−1)} σ_min(Σ)(f − C) of K = 2, σ = (4, ½), C = 0.2·2."""
    model = network(depth=2, values=(2, 3), covariance=(4, 0.5), noise=0.2, factor=1.0)
    v = torch.as_tensor(0.1 * np.arange(8.0).reshape(1, 2, 2, 2))
    square = model.gradient({"v": v}, {})["v"].square().sum().item()
    above = model.loss({"v": v}, {}).item() - 0.4
    found = module("residual_gradient_bound")._logs(model, v, np.array([0.25]))
    expected = square / (4 * 2 * 0.75**2 * 0.5 * above)
    assert 10**found == pytest.approx([expected], rel=1e-9)


def test_columns_of_commuting_descent():
    results = handmade(two=network(depth=2, values=(1, 1)), one=network(depth=1, values=(1, 1)))
    rounding = Between(1e-17, 1e-13)
    expected = {"decoupling_error": [rounding] * 2, "offdiagonal": [rounding] * 2}
    dataset = assert_columns(analysis("commuting_descent", rate=0.2, steps=50), results, expected)
    strength = dataset["mode_strength"]
    assert strength.shape == (2, 4, 51)
    # one layer: w ← w − ασ(w − r), so that differences fall by 1 − ασ, σ in [0.6, 1.4]
    steps = np.diff(strength.values[1])
    ratio = steps[:, 1:20] / steps[:, :19]
    np.testing.assert_allclose(ratio, ratio[:, :1].repeat(19, axis=1), rtol=1e-6)
    assert (ratio >= 1 - 0.2 * 1.4).all() and (ratio <= 1 - 0.2 * 0.6).all()


def test_modes_of_commuting_descent_begin_at_roots_and_step_by_the_rate_over_the_depth(monkeypatch):
    """Two 1 × 1 layers of uniform numbers ½: first strengths √1 each, target and σ 1. With ¼ for
    the first layer it is √0.8, and both layers move by 0.05 times (1 − √0.8)."""
    part = module("commuting_descent")

    def descends(*drawn):
        class Told(Streams):
            def uniform(self, count, draw=0):
                return np.array([drawn]) if count == 4 else super().uniform(count, draw)

        monkeypatch.setattr(part, "Streams", Told)
        plugin = analysis("commuting_descent", widths=(1, 1), rate=0.1, steps=1)
        return plugin._descend(2, 1)

    assert descends(0.5, 0.5, 0.5, 0.5)[0].tolist() == [[1, 1]]
    path, error, off = descends(0.25, 0.5, 0.5, 0.5)
    root = math.sqrt(0.8)
    moved = (root - 0.05 * (root - 1)) * (1 - 0.05 * (root - 1) * root)
    np.testing.assert_allclose(path, [[root, moved]], rtol=1e-12)
    assert error < 1e-15 and off == 0


def test_the_widths_of_commuting_descent_take_turns_and_its_error_is_that_of_the_worst_mode(
    monkeypatch,
):
    """A matrix step that does nothing leaves each mode where it begins."""
    part = module("commuting_descent")
    monkeypatch.setattr(part, "_matrix_step", lambda weights, *_: weights)
    plugin = analysis("commuting_descent", widths=(2, 3), rate=0.1, steps=40)
    path, error, off = plugin._descend(3, 1)
    assert path.shape == (2, 41)
    moved = np.abs(path - path[:, :1])
    assert error == pytest.approx(moved.max(), rel=1e-9) and off < 1e-14
    assert moved.max(axis=1).min() < 0.9 * error


def test_columns_of_identity_descent():
    """K = 2: q = w² is r/(1 + (r − 1)e^{−2rt}); rate ½, so that step n is time n/2. Noise of
    variance 0.2 costs 0.2·3/2. The second run ended a step before the first."""
    goals = np.array([2.0, -0.5, 1.0])
    model = network(depth=2, values=tuple(goals), noise=0.2)
    time = np.array([0, 0.5, 1.0, 2.0, 4.0])
    q = goals / (1 + (goals - 1) * np.exp(-2 * goals * time[:, None]))
    traced = np.stack([q, q])
    traced[0, 3, 1] += 0.01
    traced[0, 4] = NAN
    v = np.zeros((2, 2, 3, 3))
    v[0, 0, 0, :2] = 0.1, 0.2
    trained = xr.Dataset(
        {
            "v": (("run", "layer", "output", "input"), v),
            "steps": ("run", [4, 3]),
            "loss": ("run", [0.7, 0.6]),
            "trace_strength": (("run", "trace_step", "mode"), traced),
        },
        {"trace_step": [0, 1, 2, 4, 8]},
    )

    def first(depth, value=0.0):
        """All weights 0 but the last."""
        begun = np.zeros((1, depth, 2, 2))
        begun[..., -1] = value
        return xr.Dataset({"v": (("run", "layer", "output", "input"), begun)})

    models = {
        "symmetric": model,
        "turned": network(depth=3, values=(2.0, 1.0), rotation=0.5),
        "away": network(depth=2, values=(2.0, -1.0)),
        "single": network(depth=1, values=(2.0, -1.0)),
    }
    starts = {"symmetric": first(2), "turned": first(3), "away": first(2, 0.1), "single": first(1)}
    results = handmade({"initialization": starts, "training": {"symmetric": trained}}, **models)
    target = model.target()
    layers = v[0] + np.eye(3)
    commutator = max(np.linalg.norm(w @ target - target @ w) for w in layers)
    flow_loss = ((q[3] - goals) ** 2).sum() / 2 + 0.3
    rest = [NAN, NAN, NAN]
    law = Between(0, 1e-8)
    expected = {
        "last_loss": [0.7, *rest],
        "stall": [0.425, *rest],
        "excess": [0.7 - 0.425, *rest],
        "flow_excess": [pytest.approx(flow_loss - 0.425, rel=1e-7), *rest],
        "layer_spread": [math.sqrt(0.05), *rest],
        "commutator": [commutator, *rest],
        "flow_error": [pytest.approx(0.01, rel=1e-6), *rest],
        "zero_law_error": [law, law, law, NAN],
        # for K = 3 the law is that of late times
        "tail_ratio": [
            Between(1 - 1e-6, 1 + 1e-6),
            Between(0.95, 0.99),
            Between(1 - 1e-6, 1 + 1e-6),
            NAN,
        ],
    }
    dataset = assert_columns(analysis("identity_descent", tail_time=1e2), results, expected)
    assert dataset["flow_strength"].shape == (4, 3, 121)
    assert dataset["flow_time"].values[0, [0, -1]].tolist() == [0, 2]
    assert np.isnan(dataset["flow_strength"].values[1:]).all()


def test_the_closed_forms_of_a_mode():
    """Where it goes for a positive target, how it decays for 0, and for a negative one."""
    law, times = module("identity_descent")._law, np.array([1.0, 4.0])
    assert law(8.0, 3, times).tolist() == [2.0, 2.0]
    assert law(0.25, 2, times).tolist() == [0.5, 0.5]
    np.testing.assert_allclose(law(0.0, 3, times), (1 + 4 * times) ** -0.25)
    np.testing.assert_allclose(law(-2.0, 2, times), np.exp(-2 * times))
    np.testing.assert_allclose(law(-2.0, 4, times), (4 * times) ** -0.5)


def test_times_of_a_flow_begin_early():
    """0, then a hundredth or a tenth of the last, at equal ratios."""
    times, count = module("identity_descent")._times, module("identity_descent").TIMES
    for last, second in ((5.0, 0.01), (0.05, 0.005)):
        found = times(last)
        assert (len(found), found[0]) == (count, 0)
        assert found[[1, -1]] == pytest.approx([second, last])
        np.testing.assert_allclose(np.diff(np.log(found[1:]), n=2), 0, atol=1e-12)
