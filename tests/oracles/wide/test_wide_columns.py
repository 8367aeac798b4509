"""Intervals, slopes and arrays of the analyses of wide networks, from hand-made numbers."""

import dataclasses
import math
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from handmade import Handmade, analysis
from scipy import stats
from studies import module
from wide_networks import moments, propagation

from nnflow import Streams, mean

HALF = stats.norm.ppf(0.995)
TANH = {"activation": "tanh", "weight_variance": 1.69, "bias_variance": 0.09}
ERF = {"activation": "erf", "weight_variance": 1.5, "bias_variance": 0.1}


def slope_of_two(n, values, halves):
    """ln values over ln n between two widths, with the interval of independent errors."""
    step = math.log(n[1] / n[0])
    slope, half = math.log(values[1] / values[0]) / step, math.hypot(*halves) / step
    return pytest.approx((slope, slope - half, slope + half))


# random_networks


def test_variance_and_bias_of_lengths(monkeypatch):
    """A bias of a tenth of K by the control variate; q* = 2.5. The low end stays above 0."""
    part = module("random_networks")
    monkeypatch.setattr(part, "controlled_bias", lambda maps, limit, found: found / 10)
    k = np.repeat([1, 2, 2, 3, 7.0], 20)
    found = part._measured(None, SimpleNamespace(q=2.5), np.stack([9 + k**2, k], axis=1))
    variance = np.var(k, ddof=1)
    fourth = np.mean((k - 3) ** 4) / variance**2
    half = HALF * variance * math.sqrt((fourth - 1) / 100)
    expected = [variance, variance - half, variance + half, *mean(k / 10), 0.5]
    assert found == pytest.approx([*expected, math.sqrt(variance / 100)])
    few = part._measured(None, SimpleNamespace(q=2.5), k[::20, None])
    assert 0 < few[1] < 1e-200 and few[0] == pytest.approx(5.5)


def test_medians_have_intervals_of_ranks():
    median, half = module("random_networks")._median, HALF / (2 * math.sqrt(101))
    expected = [50, 100 * (0.5 - half), 100 * (0.5 + half)]
    assert median(np.arange(101.0)[::-1]) == pytest.approx(expected)
    assert median(np.array([3.0, 1.0])).tolist() == [2, 1, 3]


def test_squares_and_logarithms_of_the_critical_relu(monkeypatch):
    """(1 + 5/5)³ = 8; −5·4/(2·10) = −1, by which ends are exchanged."""
    part, asked = module("random_networks"), []
    squares = np.array([1.0, 2.0, 3.0])
    expected = pytest.approx([x / 8 for x in mean(squares**2)])
    assert part._square_ratio(squares, 5, 3) == expected

    def lengths(maps, generator, *settings):
        asked.append(settings)
        return np.exp(-np.array([[0, 1.0], [0, 2.0], [0, 6.0]]))

    monkeypatch.setattr(part, "lengths", lengths)
    plugin = SimpleNamespace(relu_depth=4, runs=3)
    assert part._log_mean(1, None, plugin, 10) == pytest.approx(mean(np.array([1.0, 2.0, 6.0])))
    assert asked == [(10, 4, 3, 1.0)]


def random_networks(count=1, **settings):
    settings = {"widths": [10, 40], "runs": 30, "depth": 1, **settings}
    return analysis("random_networks", networks=[TANH] * count, **settings)


def test_columns_of_one_random_network():
    variance = {"": [0.3, 0.075], "_low": [0.2, 0.06], "_high": [0.4, 0.09]}
    bias = {"": [-0.1, -0.025], "_low": [-0.15, -0.03], "_high": [-0.05, -0.02]}
    found = xr.Dataset(
        {
            **{f"variance{end}": ("width", row) for end, row in variance.items()},
            **{f"bias{end}": ("width", row) for end, row in bias.items()},
            "V": 6.0,
            "B": -2.0,
        }
    )
    columns = random_networks()._columns(3, found)
    squares = slope_of_two([10, 40], [0.3, 0.075], [1 / 3, 0.2]).expected
    assert columns["variance_slope_3"] == pytest.approx([x / 2 for x in squares])
    assert columns["bias_slope_3"] == slope_of_two([10, 40], [0.1, 0.025], [0.5, 0.2])
    assert columns["variance_3"] == pytest.approx((0.5, 0.4, 0.6))
    assert columns["bias_3"] == pytest.approx((0.5, 0.4, 0.6))


def test_all_networks_are_tested_at_once():
    """Deviations from B/n, ±.1, of 2 and −½ errors: χ² with two degrees. Layers where correlations
    do not vary have no standard error."""
    axes = ("network", "layer")
    dataset = xr.Dataset(
        {
            "plain_bias": (("network", "width"), [[9, 9, 0.3], [9, 9, -0.2]]),
            "B": ("network", [4.0, -4.0]),
            "plain_error": (("network", "width"), [[1, 1, 0.1], [1, 1, 0.2]]),
            "correlation_mean": (axes, [[0.5, 0.4], [0.5, 0.85]]),
            "correlation_limit": (axes, [[0.5, 0.3], [0.5, 0.65]]),
            "correlation_error": (axes, [[0, 0.02], [1e-7, 0.05]]),
        }
    )
    assert random_networks(2, widths=[10, 20, 40])._joint(dataset) == pytest.approx(
        {"joint_p": math.exp(-4.25 / 2), "joint_runs": 60, "c_largest": 5, "c_error": 0.2}
    )


def test_the_critical_relu_layer_by_layer(monkeypatch):
    """ln K of run r is r·layer/n. Widths 20 and 60: small fluctuations up to layers 1 and 3."""
    part, asked = module("random_networks"), []

    def lengths(maps, generator, width, depth, runs, q):
        asked.append((width, depth, runs, q))
        return np.exp(np.outer(np.arange(runs), np.arange(depth + 1)) / width)

    monkeypatch.setattr(part, "lengths", lengths)
    plugin = random_networks(relu_widths=[20, 60], relu_depth=2, runs=21)
    found = plugin._relu(1)
    assert asked == [(20, 2, 21, 1.0), (60, 2, 21, 1.0), (20, 2, 21, 1.0)]
    assert [plugin._shallow(width) for width in (4, 20, 39, 40, 900)] == [1, 1, 1, 2, 2]
    for i, width in enumerate((20, 60)):
        middle = np.exp(np.outer([0, 1, 2], [1, 10, 19]) / width)
        np.testing.assert_allclose(found["relu_quantile"][i], middle)
        last = np.exp(2 * np.arange(21) / width)
        ends = [found[f"relu_mean{end}"].values[i, 2] for end in ("", "_low", "_high")]
        np.testing.assert_allclose(ends, mean(last))
        assert found["relu_spread"].values[i] == pytest.approx(
            np.std(np.arange(21), ddof=1) / width
        )
        at = (1, 2)[i]
        squares = mean(np.exp(2 * at * np.arange(21) / width))
        np.testing.assert_allclose(
            found["relu_square"][i], np.array(squares) / (1 + 5 / width) ** at
        )
    np.testing.assert_allclose(found["relu_spread_error"], 1 / math.sqrt(40))
    np.testing.assert_allclose(found["relu_median_ends"][0], math.exp(1))
    logs = mean(2 * np.arange(21) / 20)
    np.testing.assert_allclose(found["relu_log_mean"], np.array(logs)[[0, 2, 1]] / (-5 * 2 / 40))
    columns = plugin._relu_columns(found)
    for name in ("square", "log_mean", "median_ends"):
        column = columns[
            "relu_" + {"square": "square_ratio", "log_mean": "log_ratio"}.get(name, "median")
        ]
        expected = found[f"relu_{name}"].values
        np.testing.assert_allclose(column, expected[-1] if name == "square" else expected)
    np.testing.assert_allclose(columns["relu_end_mean"], mean(np.exp(2 * np.arange(21) / 60)))
    halves = [HALF / math.sqrt(40)] * 2
    spreads = found["relu_spread"].values
    assert columns["relu_spread_slope"] == slope_of_two([20, 60], spreads, halves)


def test_correlations_of_random_networks(monkeypatch):
    """Half as many pairs as networks, at the largest width, from ½ at q*."""
    part, asked = module("random_networks"), []

    def pairs(maps, generator, width, depth, runs, q, c):
        asked.append((width, depth, runs, q, c))
        return np.outer(np.arange(21.0), np.arange(1, depth + 2)) / 100

    monkeypatch.setattr(part, "pairs", pairs)
    plugin, results = random_networks(runs=42, depth=2), Handmade()
    found = plugin._network(1, plugin.networks[0], results, 0)
    maps = propagation("tanh", 1.69, 0.09)
    q = plugin.networks[0].fixed_point().q.value
    assert asked == [(40, 2, 21, q, 0.5)]
    np.testing.assert_allclose(found["correlation"], np.outer([1, 2, 3], [1, 10, 19]) / 100)
    np.testing.assert_allclose(found["correlation_mean"], [0.1, 0.2, 0.3])
    error = np.std(np.arange(21), ddof=1) / math.sqrt(21) / 100
    np.testing.assert_allclose(found["correlation_error"], error * np.array([1, 2, 3]))
    once = float(maps.correlation(0.5, q))
    expected = [0.5, once, float(maps.correlation(once, q))]
    np.testing.assert_allclose(found["correlation_limit"], expected)
    assert found["q"].item() == q


def test_ensembles_of_all_networks_are_progress(monkeypatch):
    plugin, results, told = random_networks(2), Handmade(), []
    results.progress = lambda done, total, detail: told.append((done, total))
    for place, network in enumerate(plugin.networks):
        plugin._network(1, network, results, place)
    assert told == [(0, 4), (1, 4), (2, 4), (3, 4)]


def test_other_laws_are_measured_after_the_last_layer(monkeypatch):
    part, asked = module("random_networks"), []

    def lengths(maps, generator, law, width, depth, runs, q):
        asked.append((law, width, depth, runs))
        return q * np.array([[9.0, 1.0], [9.0, 2.0], [9.0, 6.0]])

    monkeypatch.setattr(part, "lengths_of_matrices", lengths)
    found = random_networks(matrix_width=7, matrix_runs=11)._matrices(1)
    assert asked == [(law, 7, 1, 11) for law in ("gaussian", "uniform", "orthogonal")]
    for law in ("gaussian", "uniform", "orthogonal"):
        assert found[f"{law}_mean"] == pytest.approx(mean(np.array([1.0, 2.0, 6.0])))


def test_sums_are_those_of_the_last_of_three_layers(monkeypatch):
    """At (6.25, .09), a mean square for each network; signals start from σ of normal numbers of
    the variance q*."""
    part, asked, last, n = module("random_networks"), [], np.arange(24.0).reshape(12, 1, 2), 10**6

    def forward(z):
        asked.append(z)
        return None, [9 * last, 5 * last, last]

    def random_layers(generator, sigma, *settings):
        asked.append(settings)
        return SimpleNamespace(forward=forward)

    monkeypatch.setattr(part, "random_layers", random_layers)
    found = random_networks(matrix_width=n, matrix_runs=12)._sums(1)
    assert asked[0] == ([n] * 4, 12, 6.25, 0.09)
    maps = propagation("tanh", 6.25, 0.09)
    q = module("_signal").attracting(maps.fixed_points()).q.value
    assert asked[1].shape == (1, n)
    assert (np.arctanh(asked[1]) ** 2).mean() == pytest.approx(q, rel=0.006)
    even, odd = np.arange(0, 24, 2), np.arange(1, 24, 2)
    assert found == pytest.approx(mean((even**2 + odd**2) / 2))


# tangent_kernel


def tangent_kernel(**settings):
    settings = {"widths": [16, 64], "trained_widths": [8, 32], "trained_runs": 3, **settings}
    return analysis("tangent_kernel", activations=["relu"], **settings)


def test_deviations_have_intervals_of_the_fourth_moment():
    k = np.repeat([1, 2, 2, 3, 7.0], 20)
    kurtosis = np.mean((k - 3) ** 4) / np.var(k) ** 2
    spread = np.std(k, ddof=1)
    half = HALF * spread / 2 * math.sqrt((kurtosis - 1) / 100)
    deviation = module("tangent_kernel")._deviation
    assert deviation(k) == pytest.approx((spread, spread - half, spread + half))
    assert 0 < deviation(np.eye(10)[0])[1] < 1e-200


def test_columns_of_one_tangent_kernel():
    """Means over limits of either sign, at the largest width; ratios of losses of any width."""
    axes = ("hidden", "width")
    spreads = {"": [0.4, 0.1], "_low": [0.3, 0.09], "_high": [0.5, 0.11]}
    change = np.array([[1.0, 2.0, 4.0], [0.25, 0.5, 1.0]])
    part = xr.Dataset(
        {
            "kernel_limit": ("hidden", [2.0, -2.0, 4.0]),
            "kernel_mean": (axes, [[9, 2.2], [9, -1.8], [9, 4.0]]),
            "kernel_mean_low": (axes, [[9, 2.0], [9, -2.0], [9, 3.0]]),
            "kernel_mean_high": (axes, [[9, 2.4], [9, -1.0], [9, 6.0]]),
            **{f"kernel_spread{end}": (axes, [row] * 3) for end, row in spreads.items()},
            "kernel_change": (("trained_width", "run"), change),
            "weight_change": (("trained_width", "run"), np.sqrt(change)),
            "loss": (("trained_width", "step"), [[4, 2, 1.0], [8, 4, 1.0]]),
            "lazy_loss": (("trained_width", "step"), [[4, 0, 0.0], [8, 3.6, 1.2]]),
        }
    )
    columns = tangent_kernel()._columns("x", part)
    means = [(1.1, 1.0, 1.2), (0.9, 0.5, 1.0), (1.0, 0.75, 1.5)]
    for hidden, expected in enumerate(means, 1):
        assert columns[f"x_mean_{hidden}"] == pytest.approx(expected)
        assert columns[f"x_spread_{hidden}"] == pytest.approx((0.8, 0.72, 0.88))
        slope = slope_of_two([16, 64], [0.4, 0.1], [0.25, 0.1])
        assert columns[f"x_spread_slope_{hidden}"] == slope
    # geometric means 2 and ½; ln 2 is the deviation of the logarithms
    half = HALF * math.log(2) / math.sqrt(3)
    assert columns["x_change_slope"] == slope_of_two([8, 32], [2, 0.5], [half] * 2)
    root = slope_of_two([8, 32], [math.sqrt(2), math.sqrt(0.5)], [half / 2] * 2)
    assert columns["x_weight_slope"] == root
    assert columns["x_final_loss"] == 0.25 and columns["x_lazy_error"] == pytest.approx(0.05)


def test_standard_layers_against_what_relu_has_on_average(monkeypatch):
    """|x|² = 6 in four dimensions: with α_w² = 2, α_h² = ½ q = 3.5, E σ² = 1.75 and E σ'² = ½."""
    plugin = tangent_kernel(weight_variance=2, bias_variance=0.5, runs=30)
    expected, asked = 64 * 1.75 + 1 + 2 * 0.5 * (6 + 1), []
    values = expected * np.linspace(0.5, 1.7, 30)

    def drawn(self, seed, one, widths, runs, purpose):
        asked.append((widths, runs, purpose))
        return SimpleNamespace(kernel=lambda x: values[:, None, None] * np.ones((len(x), len(x))))

    monkeypatch.setattr(type(plugin), "_drawn", drawn)
    assert plugin._standard(1, moments("relu")) == pytest.approx(mean(values / expected))
    assert asked == [([4, 64, 1], 30, "standard")]


def test_inputs_of_training_lie_on_a_sphere():
    x, y = tangent_kernel(samples=40)._task(1)
    np.testing.assert_allclose((x**2).sum(axis=1), 40)
    assert x.shape == (40, 40) and y.shape == (40,)
    assert 0.6 < y.std() < 1.4 and abs(np.corrcoef(x[:, 0], y)[0, 1]) < 0.5


def test_kernels_are_drawn_some_at_a_time(monkeypatch):
    """Each network once, of its widths, whatever is drawn at once."""
    part, asked = module("tangent_kernel"), []

    def drawn(self, seed, one, widths, runs, purpose, first=0):
        asked.append((widths, runs, first))
        return SimpleNamespace(kernel=lambda x: np.arange(first, first + runs)[:, None, None] *
                               np.array([[100, 1], [1, 100]]))  # fmt: skip

    monkeypatch.setattr(part, "BLOCK", 200)
    plugin = tangent_kernel(runs=12)
    monkeypatch.setattr(type(plugin), "_drawn", drawn)
    assert plugin._kernels(1, None, 2, 6).tolist() == list(range(12))
    assert asked == [([4, 6, 6, 1], 6, 0), ([4, 6, 6, 1], 6, 6)]


# trainability


def test_columns_of_trainability_from_accuracies(monkeypatch):
    """Accuracies of two starts, ±.03 around what falls through .55 just where 1/depth =
    1/(mξ_c) + 1/L₀, with m = 1.4 and 2, L₀ = 20 and 10, at both marks."""
    part, asked = module("trainability"), []
    plugin = analysis(
        "trainability", activation="tanh", dataset={"name": "digits"}, depths=[2, 8], starts=2,
        weight_variances=[0.7, 1.0, 4.0], width=5, rate=0.25, minibatch=3, marks=[20, 60],
    )  # fmt: skip
    scales = plugin._scales(np.array([0.7, 1.0, 4.0]))
    reached = np.array([1 / (1 / (m * scales) + 1 / limit) for m, limit in ((1.4, 20), (2, 10))])
    shallow = 0.55 + 0.4 * np.log(reached / 2) / math.log(4)
    assert (shallow > 0.56).all() and (shallow < 0.94).all()

    def accuracies(sigma, generator, data, widths, variances, *rest):
        asked.append((widths, variances.tolist(), *rest))
        means = shallow - (0.4 if len(widths) == 10 else 0)
        return np.repeat(means, 2, axis=1) + [0.03, -0.03] * 3

    monkeypatch.setattr(part, "accuracies", accuracies)
    load = {"inputs": np.arange(24.0).reshape(4, 2, 3), "targets": np.arange(4)}
    monkeypatch.setattr(type(plugin.dataset), "load", lambda self, folder: load)
    found = plugin.compute(Handmade())
    starts = [0.7, 0.7, 1.0, 1.0, 4.0, 4.0]
    for depth, one in zip((2, 8), asked, strict=True):
        assert one == ([6, *[5] * depth, 10], starts, 0.05, 0.25, 3, [20, 60])
    np.testing.assert_allclose(found["accuracy"][0], shallow.T)
    np.testing.assert_allclose(found["accuracy"][1], shallow.T - 0.4)
    np.testing.assert_allclose(found["trainable_depth"], reached.T)
    np.testing.assert_allclose(found["xi_c"], scales)
    np.testing.assert_allclose(found["factor"], [1.4, 2])
    np.testing.assert_allclose(found["deepest"], [20, 10])
    expected = {
        "depth_factor": 2,
        "depth_limit": 10,
        "depth_factor_early": 1.4,
        "factor_growth": 2 / 1.4,
        "first_accuracy": shallow[1].mean(),
        "deepest_weight_variance": [0.7, 1.0, 4.0][shallow[1].argmax()],
        "depths_found": 3,
    }
    assert {name: found[name].item() for name in expected} == pytest.approx(expected)
    for end in ("_low", "_high"):
        for name, column, mark in (
            ("factor", "depth_factor", 1),
            ("deepest", "depth_limit", 1),
            ("factor", "depth_factor_early", 0),
        ):
            assert found[f"{name}{end}"].values[mark] == found[f"{column}{end}"].item()


def test_growth_of_factors():
    """Ends are divided by the far ones."""
    ratio = module("trainability")._ratio(np.array([6.0, 4, 9]), np.array([2.0, 1, 3]))
    assert ratio == pytest.approx((3, 4 / 3, 9))


# mean_field_mixtures


def test_convex_losses():
    losses = module("mean_field_mixtures").LOSSES
    f, y = np.array([[1.0, -2.0]]), np.array([3.0, -1.0])
    assert losses["squared"](f, y).tolist() == [2.5]
    assert losses["absolute"](f, y).tolist() == [1.5]
    expected = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(-2))) / 2
    assert losses["logistic"](f, y) == pytest.approx([expected])


def mixtures(**settings):
    return analysis("mean_field_mixtures", activation="tanh", **settings)


def test_networks_of_two_widths_have_mixtures_and_no_lines():
    found = mixtures(pairs=4, neurons=(5, 8), steps=2).compute(Handmade())
    assert np.isnan(found["line"]).all() and found["nonconvex_lines"].item() == 0
    assert found["concatenation_error"].item() < 1e-13 and found["gap_error"].item() < 1e-13
    assert found["mixture"].shape == (4, 21)


def test_lines_above_the_chord_are_counted(monkeypatch):
    plugin, lines = mixtures(pairs=10, steps=2), np.zeros((10, 21))
    lines[3, 7] = lines[5, 20] = lines[5, 4] = 1e9
    monkeypatch.setattr(type(plugin), "_lines", lambda *_: lines)
    assert plugin.compute(Handmade())["nonconvex_lines"].item() == 0.2


def test_permuted_copies_that_rise_are_counted():
    """Equal neurons average to themselves; networks that fit to rounding or so rise."""
    plugin, part = mixtures(pairs=3), module("mean_field_mixtures")
    sigma, random = moments("tanh").sigma, np.random.default_rng(0)
    p, x = random.normal(size=(3, 4, 3)), random.normal(size=(6, 1))
    p[1] = p[1, :1]
    y = part.outputs(sigma, p[:1], x)[0]
    assert plugin._permuted(sigma, p[:2].repeat([1, 2], axis=0), x, y)[0] == pytest.approx(1 / 3)


def test_descent_from_equal_neurons_by_hand(monkeypatch):
    """A loss of 1 for each neuron, and of 26 s for mixtures: at s = .8, .85, … it is not below
    20."""
    part, plugin, asked = module("mean_field_mixtures"), mixtures(steps=17), []

    def descend(sigma, neurons, x, y, rate, steps):
        asked.append((neurons.shape, (neurons == neurons[:, :1]).all(), rate, steps))
        return neurons

    monkeypatch.setattr(part, "descend", descend)
    monkeypatch.setitem(part.LOSSES, "squared", lambda f, y: f.mean(axis=-1))
    monkeypatch.setattr(part, "outputs", lambda sigma, w, x: np.full((1, 3), float(w.shape[1])))
    monkeypatch.setattr(part, "_mix", lambda sigma, p, q, s, x: np.full((1, 3), 26 * s))
    found = plugin._stationary(None, Streams(1, "mixtures", np.arange(4), "neurons"), None, None)
    assert found == {"equal_neurons": 0.1, "descent_exceptions": 5}
    assert asked == [((1, 20, 5), True, 0.05, 17), ((1, 200, 5), False, 0.05, 17)]


# mean_field_pairs


def mean_field_pairs(**settings):
    settings = {"widths": [4, 16], "inputs": [1], "pairs": 3, "samples": 5, **settings}
    return analysis("mean_field_pairs", activations=["tanh"], **settings)


def test_slopes_of_mean_field_pairs():
    """Geometric means of the pairs, with the deviation of their logarithms."""
    pairs = np.array([[1.0, 2.0, 4.0], [0.25, 0.5, 1.0]])
    part = xr.Dataset(
        {
            "function_distance": (("width", "pair"), pairs),
            "neuron_distance": (("kind", "width", "pair"), np.stack([pairs**0.5, pairs**0.25])),
            "loss_ratio": 0.3,
        }
    )
    columns = mean_field_pairs()._columns("tanh", 3, part)
    half = HALF * math.log(2) / math.sqrt(3)
    for name, power in (("function", 1), ("drawn", 0.5), ("trained", 0.25)):
        values = np.array([2, 0.5]) ** power
        expected = slope_of_two([4, 16], values, [half * power] * 2)
        assert columns[f"tanh_{name}_slope_3"] == expected
    assert columns["tanh_loss_ratio_3"] == 0.3


def test_pairs_are_first_and_second_halves_of_networks(monkeypatch):
    """A descent that doubles weights; f is the first weight, at every input."""
    part, asked, drawn = module("mean_field_pairs"), [], []

    def descend(sigma, neurons, x, y, rate, steps, decay):
        asked.append((neurons.shape, len(x), len(y), rate, steps, decay))
        drawn.append(neurons)
        return 2 * neurons

    monkeypatch.setattr(part, "descend", descend)
    monkeypatch.setattr(part, "matched_distance", lambda a, b, odd: np.abs(a - b).sum() + odd)
    monkeypatch.setattr(part, "outputs", lambda sigma, w, x: w[:, 0, :1] * np.ones(len(x)))
    plugin = mean_field_pairs(rate=0.5, steps=9, decay=0.01)
    found = plugin._of(Handmade(), "tanh", moments("tanh").sigma, 1)
    assert asked == [((6, n, 3), 5, 5, 0.5, 9, 0.01) for n in (4, 16)]
    for place, w in enumerate(drawn):
        apart = np.abs(w[:3] - w[3:]).sum(axis=(1, 2))
        np.testing.assert_allclose(found["neuron_distance"][0, place], apart + 1)
        np.testing.assert_allclose(found["neuron_distance"][1, place], 2 * apart + 1)
        heads = np.abs(w[:3, 0, 0] - w[3:, 0, 0])
        np.testing.assert_allclose(found["function_distance"][place], 2 * heads)
    y, heads = plugin._task(1, 1)[1], drawn[1][:, :1, 0]
    ratio = ((2 * heads - y) ** 2).mean() / ((heads - y) ** 2).mean()
    assert found["loss_ratio"].item() == pytest.approx(ratio)


# signal_maps


@pytest.fixture(scope="module")
def maps():
    """erf, which has a fixed length, and ReLU at (2, ½), which has none."""
    relu = {"activation": "relu", "weight_variance": 2, "bias_variance": 0.5}
    plugin = analysis(
        "signal_maps", networks=[ERF, relu], highest=[2, 3], starts=[[0.1, 1.0], [0.5, 2.0]],
        width=400, layers=[1, 3], inputs=12,
    )  # fmt: skip
    return plugin.compute(Handmade())


def length_of_erf(q):
    return 1.5 * 2 / math.pi * np.arcsin(2 * q / (1 + 2 * q)) + 0.1


def correlation_of_erf(c, q):
    return (1.5 * 2 / math.pi * np.arcsin(2 * q * c / (1 + 2 * q)) + 0.1) / q


def test_maps_orbits_and_fixed_lengths(maps):
    assert maps["network"].values.tolist() == ["erf 1.5 0.1", "relu 2 0.5"]
    for row, highest in enumerate((2, 3)):
        np.testing.assert_allclose(maps["q"][row], np.linspace(0, highest, 121))
    np.testing.assert_allclose(maps["c"], np.linspace(0, 1, 121))
    fixed = maps["fixed"].values
    assert length_of_erf(fixed[0]) == pytest.approx(fixed[0]) and np.isnan(fixed[1])
    erf, relu = maps["length_map"].values
    np.testing.assert_allclose(erf, length_of_erf(maps["q"].values[0]), atol=1e-13)
    np.testing.assert_allclose(relu, maps["q"].values[1] + 0.5, atol=1e-13)
    curve = maps["correlation_map"].values
    np.testing.assert_allclose(curve[0], correlation_of_erf(maps["c"].values, fixed[0]), atol=1e-12)
    assert np.isnan(curve[1]).all()
    orbit = maps["orbit"].values
    assert orbit.shape == (2, 2, 13)
    np.testing.assert_allclose(orbit[0, :, 0], [0.1, 1.0])
    np.testing.assert_allclose(orbit[0, :, 1:], length_of_erf(orbit[0, :, :-1]), atol=1e-13)
    np.testing.assert_allclose(orbit[1, 1], 2 + 0.5 * np.arange(13))


def test_a_circle_of_inputs_follows_the_correlation_map(maps):
    """Correlations to within a few errors, 1/√n, after one and three layers; along the two axes
    the circle keeps the part of its square that the first harmonic of q*C̃(cos t) has."""
    q, turn = maps["fixed"].values[0], 2 * np.pi * np.arange(12) / 12
    circle, found = (maps[name].values[0] for name in ("circle", "circle_correlation"))
    c = np.cos(turn)
    for layer in range(1, 4):
        c = correlation_of_erf(c, q)
        if layer in (1, 3):
            row = (1, 3).index(layer)
            assert np.abs(found[row] - c).max() < (0.12, 0.25)[row]
            harmonic = q * (c * np.cos(turn)).mean()
            square = (circle[row] ** 2).mean(axis=0)
            np.testing.assert_allclose(square, harmonic, rtol=0.3)
            assert square[0] >= square[1] and (circle[row, 0] >= 0).all()
            np.testing.assert_allclose(circle[row].mean(axis=0), 0, atol=1e-13)
            assert abs(circle[row, :, 0] @ circle[row, :, 1]) < 1e-12
    np.testing.assert_allclose(found[:, 0], 1)


def test_maps_need_ends_and_starts_of_each_network():
    good = {"networks": [ERF, ERF], "highest": [1, 1], "starts": [[0.1], [0.2]]}
    analysis("signal_maps", **good)
    for wrong, text in (
        ({"highest": [1]}, "of one length"),
        ({"starts": [[0.1]]}, "of one length"),
        ({"starts": [[0.1], [0.2, 0.3]]}, "the same number for each network"),
    ):
        with pytest.raises(ValueError, match=text):
            analysis("signal_maps", **(good | wrong))


# signal_fixed_points


def test_the_summary_of_fixed_points():
    """Errors count at stable points, relative to numbers above 1; residuals where q* > 0."""
    columns = {
        "network": np.array(["gelu 2 0", "gelu 2 0", "gelu 2 0", "hard_tanh 1 0", "hard_tanh 1 0"]),
        "stable": np.array([1, 0, 0, 1, -1]),
        "q": np.array([0.0, 4.0, 9.0, 0.0, 2.0]),
        "chi1": np.array([0.5, 1.0, 1.0, 1.0, 1.0]),
        "a": np.array([0.5, 1.5, 1.7, -20.0, 0.25]),
        "q_error": np.array([1e-9, 1.0, 1.0, 2e-9, 1.0]),
        "chi1_error": np.array([3e-9, 1.0, 1.0, 0.0, 1.0]),
        "a_error": np.array([0.0, 1.0, 1.0, 8e-8, 1.0]),
        "residual": np.array([5.0, 0.4, -1.8, 7.0, 0.0]),
    }
    assert module("signal_fixed_points")._summary(columns) == pytest.approx(
        {
            "fixed_points": 5,
            "most_fixed_points": 3,
            "largest_error": 4e-9,
            "largest_residual": 0.2,
            "gelu_a": 1.5,
            "hard_tanh_a": 0.25,
            "alternating_a": -20,
        }
    )


def test_lengths_beside_a_point_of_the_other_kind():
    """Lengths that come nearer on one side alone are neither; beside 0 they start above it."""
    agrees = module("signal_fixed_points").agrees

    def said(length, q, stable):
        point = SimpleNamespace(q=SimpleNamespace(value=q), stable=stable)
        return agrees(SimpleNamespace(length=length), point)

    assert said(lambda q: 2 + (q - 2) / 2, 2.0, True) and said(lambda q: 2 * q - 2, 2.0, False)
    one_side = lambda q: np.where(q < 2, 2 + (q - 2) / 2, 2 * q - 2)  # noqa: E731
    assert not said(one_side, 2.0, True) and not said(one_side, 2.0, False)
    assert said(lambda q: q / 2, 0.0, True) and not said(lambda q: 2 * q, 0.0, True)


# signal_exercises


def test_the_worst_closed_form_is_told():
    """ReLU's moments off by .1 for one input, or by .3 at one correlation of two."""
    part, right = module("signal_exercises"), moments("relu")
    (activation,) = analysis("signal_exercises", activations=["relu"]).activations

    class Off:
        def __init__(self, single, pair):
            self.offsets = single, pair

        def single(self, q):
            first, *rest = right.single(q)
            return first + self.offsets[0], *rest

        def pair(self, q, other, c):
            first, *rest = right.pair(q, other, c)
            moved = np.zeros(np.shape(first))
            moved.flat[-1] = -self.offsets[1]
            return first + moved, *rest

    for offsets in ((0.1, 0.0), (0.1, 0.3), (-0.4, 0.3)):
        found = part._closed_forms([activation], {"relu": Off(*offsets)})
        worst = max(map(abs, offsets))
        assert found["closed_form_error"] == pytest.approx(worst, abs=1e-9)


def test_slopes_that_are_wrong_are_told():
    """a and χ₁ too large by ½ and ¼."""
    part = module("signal_exercises")
    maps = propagation("tanh", 1.69, 0.09)
    point = part.attracting(maps.fixed_points((1e-3, 1e3)))

    def moved(**steps):
        numbers = {
            name: dataclasses.replace(getattr(point, name), value=getattr(point, name).value + step)
            for name, step in steps.items()
        }
        return part._slope_errors(maps, dataclasses.replace(point, **numbers))

    a = point.a.value
    wrong = moved(a=0.5)
    assert wrong["a_error"] == pytest.approx(0.5 / (1.5 + a), abs=1e-7)
    assert wrong["a_formula_error"] == pytest.approx(0.5 / (1.5 + a), abs=1e-7)
    wrong = moved(chi1=0.25)
    assert wrong["chi1_error"] == pytest.approx(0.25, abs=1e-7)
    assert wrong["a_formula_error"] == pytest.approx(0.25 / (1 + a), abs=1e-7)


def test_correlations_that_do_not_arrive_are_told():
    part, maps = module("signal_exercises"), propagation("tanh", 1.69, 0.09)
    point = part.attracting(maps.fixed_points((1e-3, 1e3)))
    right, q = maps.fixed_correlation(point), point.q.value

    def arrives(c, scale):
        numbers = {"c": SimpleNamespace(value=c), "xi_c": SimpleNamespace(value=scale)}
        return part._arrives(maps, q, SimpleNamespace(**numbers))

    c, scale = right.c.value, right.xi_c.value
    assert arrives(c, scale)
    assert not arrives(c - 0.02, scale) and not arrives(c, scale / 20)


def test_exceptions_of_tanh_are_counted(monkeypatch):
    """One more fixed point at one pair; a of 1 or 0 where q* ≠ 0; a counts nowhere else."""
    part = module("signal_exercises")
    right = part.phase_diagram(moments("tanh"), np.linspace(0, 4, 41), np.array([0, 0.1]))
    assert right.q.shape == (41, 2)

    def exceptions(**changes):
        arrays = {name: np.array(getattr(right, name)) for name in ("count", "a", "q")}
        for name, (at, value) in changes.items():
            arrays[name][at] = value
        return SimpleNamespace(**arrays)

    small = part.phase_diagram(moments("tanh"), [0.5], [0.0])
    biases = np.array([0, 0.1])
    monkeypatch.setattr(part.np, "concatenate", lambda parts: biases)
    for changes, expected in (
        ({}, 0),
        ({"count": ((5, 1), 2)}, 1),
        ({"count": ((5, 0), 2)}, 1),
        ({"a": ((20, 1), 1.0)}, 1),
        ({"a": ((20, 0), 0.0)}, 1),
        ({"a": ((5, 0), 7.0)}, 0),
        ({"a": ((0, 1), 7.0)}, 0),
    ):
        found = iter([exceptions(**changes), small])
        monkeypatch.setattr(part, "phase_diagram", lambda *_, found=found: next(found))
        said = part._tanh(moments("tanh"))
        assert said == {"tanh_cells": 82, "tanh_exceptions": expected, "tanh_small_weights": 0}


# signal_answers


def test_the_worst_decay_of_any_network_is_told(monkeypatch):
    """ξ × slope + 1 of two networks, in turn; and correlations off by .2 at one start."""
    part = module("signal_answers")
    plugin = analysis("signal_answers", networks=[TANH, ERF], layers=3)
    empty = xr.Dataset(
        {
            "relu_correlation": ("start_correlation", [0.5, 0.1, 0.3]),
            "relu_correlation_map": ("start_correlation", [0.5, 0.3, 0.2]),
        }
    )
    scales = [(2.0, 4.0), (4.0, 2.0)]
    decays = iter(
        xr.Dataset(
            {
                "length_gap": ("layer", np.full(4, length)),
                "correlation_gap": ("layer", np.full(4, correlation)),
                "length_scale": length,
                "correlation_scale": correlation,
            }
        )
        for length, correlation in scales
    )
    monkeypatch.setattr(type(plugin), "_relu", lambda *_: empty)
    monkeypatch.setattr(type(plugin), "_decay", lambda *_: next(decays))
    monkeypatch.setattr(part, "_p", lambda relu: 0.7)
    slopes = {2.0: -0.45, 4.0: -0.3}
    monkeypatch.setattr(part, "_slope", lambda gaps: slopes[gaps[0]])
    found = plugin.compute(Handmade())
    assert found["relu_length_p"].item() == 0.7
    assert found["relu_correlation_measured"].item() == pytest.approx(0.2)
    for kind in ("length", "correlation"):
        assert found[f"{kind}_decay_error"].item() == pytest.approx(0.2)


def test_slopes_are_those_of_late_layers():
    """From the first gap below 10⁻⁴ to the first below 10⁻⁸, or the last one; none before."""
    slope = module("signal_answers")._slope
    gaps = np.exp(-np.concatenate([3.0 * np.arange(4), 9 + 0.5 * np.arange(1, 30)]))
    first, last = np.flatnonzero(gaps < 1e-4)[0], np.flatnonzero(gaps < 1e-8)[0]
    assert 3 < first < last < len(gaps) - 1
    assert slope(gaps) == pytest.approx(-0.5)
    bent = gaps.copy()
    bent[last + 1 :] *= 1e-9  # what comes later does not count
    assert slope(bent) == pytest.approx(-0.5)
    assert slope(gaps[: first + 3]) == pytest.approx(-0.5)
    assert math.isnan(slope(gaps[:first]))
