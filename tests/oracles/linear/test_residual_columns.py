"""Every column of the analyses of residual linear networks, on hand-made results."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
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

    # r = −½ has the larger error: 2q(r − q) = 4·(−2.5)
    assert part.slope_error(Twice(depth=2, values=(1, 1)), starts) == pytest.approx(10)


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


def test_columns_of_identity_descent():
    """K = 2: q = w² is r/(1 + (r − 1)e^{−2rt}); rate ½, so that step n is time n/2."""
    model = network(depth=2, values=(2.0, -1.0))
    time = np.array([0, 0.5, 1.0, 2.0])
    q = np.stack([2 / (1 + np.exp(-4 * time)), 1 / (2 * np.exp(2 * time) - 1)], axis=1)
    traced = q.copy()
    traced[2, 1] += 0.01
    v = np.zeros((1, 2, 2, 2))
    v[0, 0] = [[0.1, 0.2], [0, 0]]
    trained = xr.Dataset(
        {
            "v": (("run", "layer", "output", "input"), v),
            "steps": ("run", [4]),
            "loss": ("run", [0.7]),
            "trace_strength": (("run", "trace_step", "mode"), traced[None]),
        },
        {"trace_step": [0, 1, 2, 4]},
    )

    def first(depth, value=0.0):
        return xr.Dataset(
            {"v": (("run", "layer", "output", "input"), np.full((1, depth, 2, 2), value))}
        )

    models = {
        "symmetric": model,
        "turned": network(depth=3, values=(2.0, 1.0), rotation=0.5),
        "away": network(depth=2, values=(2.0, -1.0)),
        "single": network(depth=1, values=(2.0, -1.0)),
    }
    starts = {"symmetric": first(2), "turned": first(3), "away": first(2, 0.1), "single": first(1)}
    results = handmade({"initialization": starts, "training": {"symmetric": trained}}, **models)
    target = model.target()
    layers = v[0] + np.eye(2)
    commutator = max(np.linalg.norm(w @ target - target @ w) for w in layers)
    flow_loss = ((q[-1] - [2, -1]) ** 2).sum() / 2
    rest = [NAN, NAN, NAN]
    law = Between(0, 1e-8)
    expected = {
        "last_loss": [0.7, *rest],
        "stall": [0.5, *rest],
        "excess": [0.2, *rest],
        "flow_excess": [pytest.approx(flow_loss - 0.5, rel=1e-7), *rest],
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
    assert dataset["flow_strength"].shape == (4, 2, 121)
    assert np.isnan(dataset["flow_strength"].values[1:]).all()


def test_the_closed_forms_of_a_mode():
    """Where it goes for a positive target, how it decays for 0, and for a negative one."""
    law, times = module("identity_descent")._law, np.array([1.0, 4.0])
    assert law(8.0, 3, times).tolist() == [2.0, 2.0]
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
