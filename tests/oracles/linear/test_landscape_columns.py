"""Every column of the analyses of linear landscapes, on hand-made results."""

import math
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import module

from nnflow import Streams, mean
from nnflow.engine.critical import inertia
from nnflow.interfaces.registry import registry

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"
NAN = math.nan
TARGET = [[2.0, 0.0], [0.0, 1.0]]


def plugin(kind, name, **settings):
    return registry().get(kind, name)(**settings)


def network(widths, values=(2.0, 1.0)):
    return plugin("models", "linear_network", widths=widths, singular_values=list(values))


def matrices(*layers):
    """{w1: …, w2: …} of variables; layers: (run, out, in)."""
    return {
        f"w{k}": (("run", f"out{k}", f"in{k}"), np.array(layer, dtype=float))
        for k, layer in enumerate(layers, 1)
    }


def test_columns_of_linear_stationary():
    """A global point, a degenerate saddle, an invented point with invertible layers and yet a loss,
    and a run that did not arrive; critical values 0, ½, 2, 2½."""
    eye, top = np.eye(2), np.diag([1.0, 0.0])
    critical = xr.Dataset(
        {
            **matrices([eye, top, eye, eye], [np.diag([2.0, 1]), 2 * top, eye, eye]),
            "loss": ("run", [0, 0.5, 0.3, 0.3]),
            "kind": flags(["minimum", "saddle", "degenerate", "not_critical"], KINDS),
        }
    )
    settings = {"all": {"model": network([2, 2, 2])}}
    results = Handmade(settings, {"critical_points": {"all": critical}})
    expected = {
        "stationary": [3],
        "nondegenerate": [2],
        "nondegenerate_not_global": [1],
        "degenerate_not_global": [1],
        "rank_exceptions": [1],
        "stationary_off_values": [1],
    }
    assert_columns(analysis("linear_stationary"), results, expected)


def test_the_least_loss_of_a_thin_network_is_global():
    """W₂W₁ of rank 1 leaves ½ of Y = diag(2, 1)."""
    critical = xr.Dataset(
        {
            **matrices([[[2.0, 0]], [[0, 1.0]]], [[[1.0], [0]], [[0], [1.0]]]),
            "loss": ("run", [0.5, 2.0]),
            "kind": flags(["minimum", "saddle"], KINDS),
        }
    )
    found = analysis("linear_stationary")._row(network([2, 1, 2]), critical)
    assert found["nondegenerate_not_global"] == 1
    assert found["rank_exceptions"] == 0  # neither r_R = 2 nor a loss of 0


def test_a_loss_of_0_without_rank_is_an_exception():
    critical = xr.Dataset(
        {
            **matrices([np.diag([2.0, 1])], [np.diag([1.0, 0])]),
            "loss": ("run", [0.0]),
            "kind": flags(["minimum"], KINDS),
        }
    )
    assert analysis("linear_stationary")._row(network([2, 2, 2]), critical)["rank_exceptions"] == 1


def test_one_layer_of_lower_rank_is_enough_and_a_single_layer_has_full_rank_behind_it():
    """W = (I, diag(1, 0)) is degenerate. Of one layer r_R is the rank of the identity of d_y."""
    critical = xr.Dataset(
        {
            **matrices([np.eye(2)], [np.diag([1.0, 0])]),
            "loss": ("run", [2.0]),
            "kind": flags(["saddle"], KINDS),
        }
    )
    found = analysis("linear_stationary")._row(network([2, 2, 2]), critical)
    assert (found["nondegenerate"], found["degenerate_not_global"]) == (0, 1)
    critical = xr.Dataset(
        {
            **matrices([np.eye(3, 2)]),
            "loss": ("run", [0.0]),
            "kind": flags(["minimum"], KINDS),
        }
    )
    found = analysis("linear_stationary")._row(network([2, 3]), critical)
    assert (found["nondegenerate"], found["rank_exceptions"]) == (1, 0)


def test_columns_of_linear_identities():
    settings = {
        "three": {"model": network([2, 3, 2, 2])},
        "again": {"model": network([2, 3, 2, 2])},
        "one": {"model": network([2, 2])},
        "wide": {"model": network([2, 3, 3, 2])},
        "two": {"model": network([2, 2, 2])},
    }
    rounding, some = Between(0, 1e-13), Between(1e-6, 10)
    expected = {
        "rescaling_error": [rounding, NAN, NAN, rounding, rounding],
        "two_zero_layers_gradient": [0, NAN, NAN, 0, 0],
        "one_zero_layer_gradient": [some, NAN, NAN, some, some],
        "gradient_error": [rounding, NAN, rounding, rounding, rounding],
        "printed_gradient": [0, NAN, 1, 0, 0],
        "fall_violations": [0, NAN, 0, 0, 0],
        "fall_attained": [NAN, NAN, NAN, 1, 1],
    }
    assert_columns(analysis("linear_identities", draws=3), Handmade(settings), expected)


def test_the_fall_of_the_loss_has_a_part_of_each_layer():
    """W₁ = 2I, W₂ = 3I, Y = diag(2, 1): ∇ = (3M, 2M) with M = 6 − Y, and ‖M‖² = 16 + 25; the
    bound is 2·(9 + 4)·½‖M‖². Where W₂ is larger along one axis, it is only below the fall."""
    identities, model = module("linear_identities"), network([2, 2, 2])
    layers = {"w1": 2 * torch.eye(2).double()[None], "w2": 3 * torch.eye(2).double()[None]}
    fall, bound = identities._fall_and_bound(model, layers)
    assert (fall.item(), bound.item()) == (13 * 41, 13 * 41)
    layers["w2"] = torch.diag(torch.tensor([4.0, 3.0]).double())[None]
    fall, bound = identities._fall_and_bound(model, layers)
    assert fall.item() == 16 * 36 + 9 * 25 + 4 * 61
    assert bound.item() == 13 * 61


def layers_of(*weights):
    """Tensors {w1: (run, 1, 1), w2: …}; weights: numbers of each run."""
    return {
        f"w{k}": torch.tensor(values).double().reshape(-1, 1, 1)
        for k, values in enumerate(weights, 1)
    }


def test_the_change_of_a_loss_by_rescaling_is_the_largest_of_the_draws():
    """w₁ + w₂ falls from 9 to 3 in the first run, and stays in the second."""
    model = SimpleNamespace(loss=lambda weights, data: sum(weights.values()).flatten())
    weights = layers_of([0.0, 1.0], [9.0, 3.0])
    found = analysis("linear_identities", factor=3.0)._rescaling_error(model, weights)
    assert found == pytest.approx(2 / 3)


def test_gradients_where_layers_are_zero():
    """Of Σw²/2 the gradient is what is left of the weights."""
    model = SimpleNamespace(gradient=lambda weights, data: weights)
    weights = layers_of([1.0, 2.0], [2.0, 4.0], [-3.0, -6.0])
    found = module("linear_identities")._zero_layers(model, weights)
    assert found == {"two_zero_layers_gradient": 6, "one_zero_layer_gradient": math.sqrt(5)}


def test_the_error_of_a_gradient_is_relative_to_the_largest_entry_and_1():
    """2w is meant: off by 1 where the largest is 4, and by 0.4 where it is 0.2."""
    model = SimpleNamespace(
        loss=lambda weights, data: sum((w**2).flatten() for w in weights.values()),
        gradient=lambda weights, data: layers_of([0.2, 5.0], [-0.2, 0.1]),
    )
    error = module("linear_identities")._gradient_error
    assert error(model, layers_of([0.1, 2.0], [0.1, 0.05])) == pytest.approx(0.4)
    assert error(model, layers_of([0.1, 2.0], [-0.1, 0.05])) == pytest.approx(0.25)


def test_the_printed_gradient_is_right_for_layers_that_are_symmetric():
    """AᵀMBᵀ is AMB where A and B are: both layers diagonal, or the one that does not count."""
    printed, model = module("linear_identities")._printed, network([2, 2, 2])
    even = torch.diag(torch.tensor([1.0, 3.0])).double()[None]
    odd = torch.tensor([[[1.0, 2.0], [0.0, 1.0]]]).double()
    assert printed(model, {"w1": even, "w2": even}) == [True, True]
    assert printed(model, {"w1": even, "w2": odd}) == [False, True]
    assert printed(model, {"w1": odd, "w2": even}) == [True, False]
    # three widths: the product that does not fit comes second, and first
    long, tall = torch.ones(1, 2, 3).double(), torch.ones(1, 3, 2).double()
    assert printed(network([3, 2, 2]), {"w1": long, "w2": even}) == [True, False]
    assert printed(network([2, 2, 3]), {"w1": even, "w2": tall}) == [False, True]


def test_falls_short_of_the_bound_beyond_rounding_are_counted(monkeypatch):
    identities = module("linear_identities")
    falls = np.array([2.0, 1.0, 1 - 5e-13, 1 - 1e-12, 1 - 1.5e-12, 0.5])
    monkeypatch.setattr(identities, "_fall_and_bound", lambda *_: (falls, np.ones(6)))
    assert identities._fall(network([2, 2, 2]), {}) == {"fall_violations": 2, "fall_attained": 2}
    # no hidden layer, narrow ones, and hidden layers of several widths
    for widths in ([2, 2], [3, 2, 2, 3], [2, 2, 3], [3, 2, 2], [2, 3, 4, 2]):
        assert identities._fall(network(widths), {}) == {"fall_violations": 2}


def test_the_fall_is_bounded_beside_the_least_loss_and_by_the_least_input():
    """W₁ = (½, 2), W₂ = (3, 4), both diagonal: 9 + ¼; XXᵀ = diag(4, 9); ½(5² + 7²) is least."""
    identities = module("linear_identities")
    model = plugin(
        "models", "linear_network", widths=[2, 3, 2],
        inputs=[[2, 0, 0], [0, 3, 0]], target=[[1, 0, 5], [0, 2, 7]],
    )  # fmt: skip
    first, second = np.zeros((3, 2)), np.zeros((2, 3))
    first[[0, 1], [0, 1]], second[[0, 1], [0, 1]] = (0.5, 2), (3, 4)
    weights = {"w1": torch.tensor(first)[None], "w2": torch.tensor(second)[None]}
    fall, bound = identities._fall_and_bound(model, weights)
    off = np.array([1.5 * 2 - 1, 8 * 3 - 2])
    slopes = off * [2, 3]
    assert fall.item() == pytest.approx((slopes**2) @ [9 + 0.25, 16 + 4])
    assert bound.item() == pytest.approx(2 * 9.25 * 4 * (off @ off) / 2)


def test_random_layers_keep_lengths_on_average():
    """Entries ~ N(0, 1/d_k) for d_k outputs."""
    weights = analysis("linear_identities", draws=4000)._weights(network([2, 5, 3]), 1, "one")
    assert {name: w.shape for name, w in weights.items()} == {
        "w1": (4000, 5, 2),
        "w2": (4000, 3, 5),
    }
    assert weights["w1"].var().item() == pytest.approx(1 / 5, rel=0.05)
    assert weights["w2"].var().item() == pytest.approx(1 / 3, rel=0.05)
    assert (
        abs(torch.corrcoef(torch.stack([w.flatten(1)[:, 0] for w in weights.values()]))[0, 1]) < 0.1
    )


def test_plateaus_are_strict_minima_below_a_norm_of_which_each_has_a_nearest_value():
    """Critical values 0, ½, 2, 2½. Losses 0.1 and 0.6 are near 0 and ½, and far from 2½ both."""
    plateaus, model = analysis("linear_plateaus", flat=0.02), network([2, 2, 2])

    def traced(loss, norm):
        return {
            "trace_loss": xr.DataArray(np.array(loss, dtype=float)),
            "trace_gradient_norm": xr.DataArray(np.array(norm, dtype=float)),
        }

    norm = [[1, 0.01, 0.5, 0.01, 0.5], [1, 0.02, 0.5, 0.01, 0.01], [1, 0.03, 0.5, 0.4, 0.01]]
    loss = [[9, 0.6, 9, 0.1, 9], [9, 2, 9, 2, 2], [9, 2, 9, 2, 2]]
    found = plateaus._plateaus(model, traced(loss, norm))
    assert found == {"plateaus": 2, "plateau_values": 2, "plateau_error": pytest.approx(0.1)}
    level = [[1, 0.01, 0.01, 0.5, 1]]
    assert plateaus._plateaus(model, traced(loss[:1], level)) == {
        "plateaus": 0, "plateau_values": 0,
    }  # fmt: skip


def test_passages():
    """Between steps 10 and 30 at a quarter; below from the start; never; at the level only; at the
    first step."""
    trained = xr.Dataset(
        {"trace_loss": (("run", "trace_step"), [
            [2.0, 2.0, 1.2], [0.5, 2.0, 1.0], [2.0, 2.0, 2.0], [2.0, 1.8, 1.8], [2.0, 1.6, 1.0],
        ])},
        {"trace_step": [0, 10, 30]},
    )  # fmt: skip
    found = module("linear_plateaus")._passage(trained, np.full(5, 1.8))
    np.testing.assert_allclose(found, [15, NAN, NAN, NAN, 5])


def test_escapes_are_compared_with_the_next_larger_noise_of_the_same_network():
    """Runs leave at 1000, 600 and 100 for the noises .01, .02 and .1; a network of other widths
    has .015. Of four runs one starts at a minimum and one has no lowest eigenvalue."""
    starts = partial(plugin, "initializers", "linear_critical_points", target=TARGET)
    descends = SimpleNamespace(name="gradient_descent", rate=0.1, is_gradient_descent=True)

    def left_at(*steps):
        """Runs whose loss is 1 until that step, and 0 one later."""
        loss = [[1.0 if at <= step else 0.0 for at in range(1203)] for step in steps]
        axes = ("run", "trace_step")
        traces = {"trace_loss": (axes, loss), "trace_gradient_norm": (axes, np.ones((4, 1203)))}
        return xr.Dataset(traces, {"trace_step": np.arange(1203)})

    at = {
        "exact": (0.0, [2, 2, 2], (0, 0, 0, 0)),
        "least": (0.01, [2, 2, 2], (1000, 1200, 700, 700)),
        "next": (0.02, [2, 2, 2], (600, 400, 9, 9)),
        "large": (0.1, [2, 2, 2], (100, 50, 9, 9)),
        "other": (0.015, [2, 3, 2], (9, 9, 9, 9)),
    }
    settings = {
        label: {"model": network(widths), "initializer": starts(noise=noise), "optimizer": descends}
        for label, (noise, widths, _) in at.items()
    }
    saddle = xr.Dataset(
        {
            "loss": ("run", [1.0, 1.0, 1.0, 1.0]),
            "index": ("run", [1, 2, 0, 3]),
            "min_eigenvalue": ("run", [-1.0, -2.0, -9.0, NAN]),
        }
    )
    datasets = {
        "training": {label: left_at(*steps) for label, (*_, steps) in at.items()},
        "critical_points": dict.fromkeys(at, saddle),
    }
    found = analysis("linear_plateaus").compute(Handmade(settings, datasets))
    slopes = [400 * math.log(1.1) / math.log(2), 800 * math.log(1.2) / math.log(2)]
    assert found["escapes"].sel(configuration="least").item() == 2
    assert found["escape_slope"].sel(configuration="least").item() == pytest.approx(np.mean(slopes))
    assert found["escape_slope_high"].sel(configuration="least").item() == pytest.approx(
        mean(slopes)[2]
    )
    five = 500 * math.log(1.1) / math.log(5), 350 * math.log(1.2) / math.log(5)
    assert found["escape_slope"].sel(configuration="next").item() == pytest.approx(np.mean(five))
    # the largest noise has none above it, and the other network no noiseless configuration
    assert np.isnan(found["escapes"].sel(configuration=["exact", "large", "other"])).all()


def test_optimizers_that_do_not_say_what_they_are_have_no_plateaus():
    normal = {"model": network([2, 2]), "initializer": SimpleNamespace(name="normal")}
    mine = {**normal, "optimizer": SimpleNamespace(name="mine")}
    descends = {**normal, "optimizer": SimpleNamespace(is_gradient_descent=True)}
    axes = ("run", "trace_step")
    trained = xr.Dataset({f"trace_{n}": (axes, np.ones((1, 3))) for n in ("loss", "gradient_norm")})
    results = Handmade(
        {"mine": mine, "descends": descends},
        {"training": {"mine": xr.Dataset(), "descends": trained}},
    )
    found = analysis("linear_plateaus").compute(results)["plateaus"].values
    np.testing.assert_array_equal(found, [NAN, 0])


def test_columns_of_linear_plateaus():
    """Levels 2 − 0.01 are passed at steps 5 and 22½: slope 17.5 log(1.1)/log(10)."""
    model = network([1, 1, 1], [2.0])

    def start(noise):
        return plugin("initializers", "linear_critical_points", target=[[2.0]], noise=noise)

    def trained(steps, loss, norm):
        axes = ("run", "trace_step")
        return xr.Dataset(
            {"trace_loss": (axes, [loss]), "trace_gradient_norm": (axes, [norm])},
            {"trace_step": steps},
        )

    descends = SimpleNamespace(name="gradient_descent", rate=0.1, is_gradient_descent=True)
    newton = SimpleNamespace(name="newton", is_gradient_descent=False)
    standing = trained([0, 1, 2, 3, 4], [3, 2.1, 1, 0.2, 0], [1, 0.01, 0.5, 0.015, 0.5])
    runs = {
        "exact": (start(0.0), descends, trained([0], [2.0], [0.0])),
        "more": (start(1e-2), descends, trained([0, 10], [2.0, 1.98], [0, 0.1])),
        "less": (start(1e-3), descends, trained([0, 20, 30], [2.0, 2.0, 1.96], [0.1, 0.1, 0.1])),
        "normal": (SimpleNamespace(name="normal"), descends, standing),
        "newton": (SimpleNamespace(name="normal"), newton, standing),
    }
    saddle = xr.Dataset(
        {"loss": ("run", [2.0]), "index": ("run", [1]), "min_eigenvalue": ("run", [-1.0])}
    )
    settings = {
        label: {"model": model, "initializer": initializer, "optimizer": optimizer}
        for label, (initializer, optimizer, _) in runs.items()
    }
    datasets = {
        "training": {label: traces for label, (_, _, traces) in runs.items()},
        "critical_points": dict.fromkeys(runs, saddle),
    }
    slope = 17.5 * math.log(1.1) / math.log(10)
    none = (NAN, NAN, NAN)
    expected = {
        "plateaus": [0, 0, 0, 2, NAN],
        "plateau_values": [0, 0, 0, 2, NAN],
        "plateau_error": [NAN, NAN, NAN, 0.2, NAN],
        "escape_slope": [none, none, (slope, -math.inf, math.inf), none, none],
        "escapes": [NAN, NAN, 1, NAN, NAN],
    }
    assert_columns(analysis("linear_plateaus"), Handmade(settings, datasets), expected)


def constructed(widths):
    """The settings and critical points of a configuration, one run for each pattern."""
    model = plugin("models", "linear_network", widths=widths, target=TARGET)
    starts = plugin("initializers", "linear_critical_points", target=TARGET)
    count = len(starts.patterns(model.shapes()))
    drawn = starts.draw(model.shapes(), Streams(0, "all", np.arange(count), "initialize"))
    weights = {name: torch.as_tensor(value) for name, value in drawn.items()}
    eigenvalues = torch.linalg.eigvalsh(model.hessian(weights, {})).numpy()
    index, nullity = inertia(eigenvalues, 1e-7)
    critical = xr.Dataset(
        {
            **matrices(*drawn.values()),
            "loss": ("run", model.loss(weights, {}).numpy()),
            "gradient_norm": ("run", np.full(count, 1e-12)),
            "index": ("run", index),
            "nullity": ("run", nullity),
        },
        {"run": np.arange(count)},
    )
    classify = SimpleNamespace(global_within=1e-6)
    return {"model": model, "initializer": starts, "classify": classify}, critical


def test_columns_of_linear_critical_points():
    """Two singular values: K = 2 has a pattern for each set, K = 3 four for each but the whole. In
    the third configuration the first run, all zero, has another index, nullity, loss and layer."""
    two, at_two = constructed([2, 2, 2])
    three, at_three = constructed([2, 2, 2, 2])
    wrong = at_three.copy(deep=True)
    for name, change in (("index", 1), ("nullity", 1), ("loss", 0.25), ("gradient_norm", 1)):
        wrong[name].values[0] += change
    wrong["w2"].values[0], wrong["w3"].values[0] = np.eye(2), np.diag([1.0, 0])
    noisy = {**three, "initializer": three["initializer"].model_copy(update={"noise": 0.1})}
    normal = {**three, "initializer": SimpleNamespace(name="normal")}
    settings = {"noisy": noisy, "else": normal, "two": two, "three": three, "wrong": three}
    ends = {"two": at_two, "three": at_three, "wrong": wrong, "noisy": at_three, "else": at_three}
    small, none = Between(0, 1e-12), [NAN, NAN]
    # of the tampered configuration: the mean of loss over value, of the runs that miss a mode
    factor = 1 + 0.25 / 2.5 / 12
    expected = {
        "patterns": [*none, 4, 13, 13],
        "largest_gradient": [*none, 1e-12, 1e-12, 1 + 1e-12],
        "critical_values": [*none, 4, 4, 4],
        "value_error": [*none, small, small, 0.25],
        "value_factor": [*none, 1, 1, factor],
        "index_mismatches": [*none, 0, 0, 1],
        "nullity_mismatches": [*none, 0, 0, 1],
        "rank_mismatches": [*none, 0, 0, 1],
        "full_rank_points": [*none, 1, 1, 1],
        "full_rank_loss": [*none, small, small, small],
        "wide_points": [*none, 3, 3, 4],
        "wide_points_level": [*none, 0, 0, 0],
        "bad_saddles": [*none, 0, 2, 1],
        # with no mode kept or the first: all zero, or the last two or the first two of three
        "ranked_points": [*none, 0, 6, 5],
        "ranked_points_steep": [*none, 0, 4, 4],
        "rule_mismatches": [*none, 0, 0, 0],
        "bad_saddles_left": [*none, 0, 2, 1],
        "curve_error": [*none, NAN, Between(0, 1e-10), Between(0, 1e-10)],
        "no_saddles": [*none, 0, 0, 0],
        "zero_spectrum_error": [*none, small, small, small],
    }
    dataset = assert_columns(
        analysis("linear_critical_points"), Handmade(settings, {"critical_points": ends}), expected
    )
    assert dataset["where"].values.tolist() == ["two"] * 4 + ["three"] * 13 + ["wrong"] * 13


def critical_part():
    """The module of the analysis; an initializer has its name, too."""
    return sys.modules[type(analysis("linear_critical_points")).__module__]


def test_a_point_that_is_no_saddle_is_counted(monkeypatch):
    """A thin layer, whose curve has no room: the second mode alone is a saddle by its Hessian, and
    is none where that is said to have no negative eigenvalue. With room the curve decides."""
    thin, at_thin = constructed([2, 1, 2])
    three, at_three = constructed([2, 2, 2, 2])
    settings, ends = {"thin": thin, "three": three}, {"thin": at_thin, "three": at_three}

    def counted():
        results = Handmade(settings, {"critical_points": ends})
        return analysis("linear_critical_points").compute(results)["no_saddles"].values.tolist()

    assert counted() == [0, 0]
    for one in ends.values():
        one["index"].values[:] = 0
    assert counted() == [1, 0]
    part = critical_part()
    monkeypatch.setattr(part, "ROUNDING", 1e3)
    assert counted() == [2, 12]


def test_columns_of_kink_minimum():
    """At the point of Theorem 2; elsewhere there are perturbations that lower the loss."""

    def model(loss):
        return plugin("models", "laurent_von_brecht", loss_function=loss)

    point = matrices([[[0, 0], [0, 1]]], [[[1, 0], [0, 0]]])
    away = matrices([[[0, 0], [1, 1]]], [[[1, 1], [0.2, 0.3]]])
    spectrum = xr.Dataset(
        {
            "eigenvalue": (("run", "number"), [[-0.25, 1.0]]),
            "residual": (("run", "number"), [[0.125, 1.0]]),
        }
    )
    other = plugin("models", "linear_network_convex_loss", widths=(2, 2), loss_function="squared")
    models = {
        "kink": (model("absolute"), point),
        "away": (model("absolute"), away),
        "smooth": (model({"name": "huber", "delta": 0.5}), point),
        "other": (other, point),
    }
    ends = {label: xr.Dataset(content) for label, (_, content) in models.items()}
    results = Handmade(
        {label: {"model": one} for label, (one, _) in models.items()},
        {"critical_points": ends, "spectra": dict.fromkeys(models, spectrum)},
    )
    some, none = Between(1, 199), (NAN, NAN, NAN)
    expected = {
        "perturbations": [200, 200, 200, NAN],
        "descents": [0, some, some, NAN],
        "bound_violations": [0, Between(0, 200), NAN, NAN],
        "identity_error": [Between(0, 1e-15), Between(0, 1e-13), NAN, NAN],
        "curvature": [none, none, (-0.25, -0.375, -0.125), none],
    }
    plugin_ = analysis("kink_minimum", radii=[0.01, 0.3], samples=100)
    dataset = assert_columns(plugin_, results, expected)
    np.testing.assert_array_equal(np.isnan(dataset["least_rise"]).all("radius"), [0, 0, 0, 1])
    assert (dataset["least_rise"].values[0] > 0).all()
    # along the direction the loss changes as at the perturbation that gave it
    assert (dataset["slice_rise"].values[1] < 0).any()
    assert np.isnan(dataset["slice_rise"].values[3]).all()


def test_columns_of_product_lemma():
    """W = (I, A) with A of least squares; (I, 0), said to have no negative eigenvalue, and W = 0, a
    saddle, where ∇g = −YXᵀ/N; and a run that did not arrive. Beside it a thin layer and kinks."""

    def model(loss, widths=(2, 2, 2)):
        return plugin("models", "linear_network_convex_loss", widths=widths, loss_function=loss)

    squared = model("squared")
    inputs, targets = squared.samples()
    best = np.linalg.lstsq(inputs, targets, rcond=None)[0].T
    eye, zero = np.eye(2), np.zeros((2, 2))
    critical = xr.Dataset(
        {
            **matrices([eye, eye, zero, eye], [best, zero, zero, eye]),
            "loss": ("run", [1.0, 2.0, 2.0, 3.0]),
            "index": ("run", [0, 0, 1, 0]),
            "kind": flags(["degenerate", "degenerate", "saddle", "not_critical"], KINDS),
        }
    )
    thin = critical.isel(run=slice(0, 1)).assign(
        w1=(("run", "a", "b"), np.ones((1, 1, 2))), w2=(("run", "c", "a"), np.ones((1, 2, 1)))
    )
    models = {
        "kinks": (model("absolute"), critical),
        "squared": (squared, critical),
        "thin": (model("squared", (2, 1, 2)), thin),
    }
    classify = SimpleNamespace(global_within=1e-8)
    settings = {label: {"model": one, "classify": classify} for label, (one, _) in models.items()}
    results = Handmade(settings, {"critical_points": {k: part for k, (_, part) in models.items()}})
    slope = np.linalg.norm(targets.T @ inputs) / len(inputs)
    thin_slope = (inputs @ np.ones((2, 2)) - targets).T @ inputs / len(inputs)
    expected = {
        "level_points": [NAN, 2, 1],
        "level_product_gradient": [NAN, slope, np.linalg.norm(thin_slope)],
        "level_losses": [NAN, 2, 1],
        "saddles_off": [NAN, 1, 0],
        "product_change": [NAN, Between(0, 1e-14), NAN],
        "zero_gradient": [NAN, 0, NAN],
        "perturbed_gradient": [NAN, Between(1e-4, 1), NAN],
        "printed_order": [NAN, 0, 0],
        "mended_order": [NAN, 1, 1],
    }
    assert_columns(analysis("product_lemma"), results, expected)


def test_ends_of_three_layers_are_judged_by_the_whole_product():
    """W = (I, I, A): the gradient is that at A, not at the product of the first two."""
    model = plugin(
        "models", "linear_network_convex_loss", widths=(2, 2, 2, 2), loss_function="squared"
    )
    inputs, targets = model.samples()
    whole = np.array([[1.0, 2.0], [-1.0, 0.5]])
    critical = xr.Dataset(
        {
            **matrices([np.eye(2)], [np.eye(2)], [whole]),
            "loss": ("run", [1.0]),
            "index": ("run", [0]),
            "kind": flags(["degenerate"], KINDS),
        }
    )
    found = module("product_lemma")._ends(model, critical, 1e-8)
    slope = (inputs @ whole.T - targets).T @ inputs / len(inputs)
    assert found["level_product_gradient"] == pytest.approx(np.linalg.norm(slope), rel=1e-12)


def test_perturbations_keep_the_product_of_their_own_layers_only():
    """W₁ = diag(1, 0) leaves u = e₂, which diag(0, 1) does not."""
    lemma = module("product_lemma")
    layers = [np.diag([1.0, 0.0])[None], np.eye(2)[None]]
    streams = Streams(0, "all", np.arange(1), "test")
    kept = lemma.perturbed(layers, 0.5, streams)
    np.testing.assert_allclose(kept[1] @ kept[0], layers[0], atol=1e-15)
    assert np.linalg.norm(kept[1] - layers[1]) > 0.1
    assert np.linalg.norm(kept[1] @ np.diag([0.0, 1.0]) - np.diag([0.0, 1.0])) > 0.1


def test_a_bad_saddle_is_left_where_the_loss_falls_at_every_height(monkeypatch):
    """Of three curves one rises at the last height, and one stays level."""
    part = critical_part()
    settings, _ = constructed([2, 2, 2, 2])
    model, starts = settings["model"], settings["initializer"]
    falling = [np.array([0.9, 0.8, 1.0]) for _ in part.HEIGHTS]
    falling[-1] = np.array([0.9, 1.1, 1.0])
    losses = iter([np.ones(3), *falling])
    monkeypatch.setattr(part, "_losses", lambda *_: next(losses))
    monkeypatch.setattr(part, "_bad_saddles", lambda *_: np.array([0, 1, 2]))
    found = part._curves(model, starts, None, 1e-6)
    assert found["bad_saddles_left"] == 1
    errors = []
    for run, pattern in enumerate(starts.patterns(model.shapes())[:3]):
        missed = max(s for mode, s in enumerate((2, 1)) if mode not in pattern.kept)
        for height, loss in zip(part.HEIGHTS, falling, strict=True):
            power = height ** len(pattern.zero)
            errors.append(abs((1 - loss[run]) / (missed * power - power**2 / 2) - 1))
    assert found["curve_error"] == pytest.approx(max(errors))


def test_each_wrong_rank_is_a_mismatch():
    found = {
        "pattern": [0, 0, 1], "kept": [1, 1, 1], "extra": [1, 1, 1],
        "rank_R": [1, 2, 1], "rank_Z": [2, 2, 3],
        "index": [0, 1, 2], "predicted_index": [0, 1, 1],
        "nullity": [3, 4, 5], "predicted_nullity": [1, 4, 1],
    }  # fmt: skip
    found = {name: np.array(values) for name, values in found.items()}
    assert critical_part()._predicted(found) == {
        "patterns": 2, "index_mismatches": 1, "nullity_mismatches": 2, "rank_mismatches": 2,
    }  # fmt: skip


def test_points_at_the_infimum_are_global_and_those_of_full_rank_have_that_of_the_least_width(
    monkeypatch,
):
    """Of rank 2, 2 and 1 where the least of the widths is 2, and the infimum ½."""
    part = critical_part()
    model = SimpleNamespace(widths=[2, 3, 2], infimum=lambda: 0.5, y=None)
    found = {
        "pattern": np.array([5, 6, 7]), "index": np.array([0, 0, 0]), "kept": None,
        "loss": np.array([0.5, 0.75, 0.5]), "rank_R": np.array([2, 2, 1]),
        "rank_Z": np.array([2, 3, 2]), "keeps_top": np.array([True, True, True]),
    }  # fmt: skip
    assert part._bad_saddles(model, found, 1e-6).tolist() == [6]
    assert part._by_rank(model, found) == {
        "full_rank_points": 2, "full_rank_loss": 0.75, "wide_points": 1, "wide_points_level": 1,
        "ranked_points": 0, "ranked_points_steep": 0,
    }  # fmt: skip
    monkeypatch.setattr(part, "matrices", lambda *_: None)
    monkeypatch.setattr(part, "has_descent", lambda *_: np.ones(3, dtype=bool))
    assert part._rule_mismatches(model, found, None) == 1


def test_a_point_from_which_the_loss_never_rises_is_no_saddle(monkeypatch):
    """Said to have no positive eigenvalue, and with a curve that does not count."""
    part = critical_part()
    monkeypatch.setattr(part, "ROUNDING", 1e3)
    thin, ends = constructed([2, 1, 2])
    ends["nullity"].values[:] = 4 - ends["index"].values
    found = part._measured(thin["model"], thin["initializer"], ends)
    assert part._no_saddles(thin["model"], thin["initializer"], found, ends, 1e-6) == 2
    # and one configuration is enough
    one = Handmade({"thin": thin}, {"critical_points": {"thin": ends}})
    assert analysis("linear_critical_points").compute(one)["where"].values.tolist() == ["thin"] * 3


def test_the_mirror_image_of_a_curve_has_one_layer_on_the_other_side(monkeypatch):
    part, seen = critical_part(), []
    monkeypatch.setattr(part, "_losses", lambda model, w: seen.append(w) or np.zeros(13))
    settings, ends = constructed([2, 2, 2, 2])
    found = part._measured(settings["model"], settings["initializer"], ends)
    part._no_saddles(settings["model"], settings["initializer"], found, ends, 1e-6)
    curve, level, mirrored, _ = seen
    turned = 0
    for run in range(13):
        moved = [n for n in level if not np.array_equal(mirrored[n][run], curve[n][run])]
        for name in moved:
            both = mirrored[name][run] + curve[name][run]
            np.testing.assert_allclose(both, 2 * level[name][run], atol=1e-15)
        turned += len(moved)
    assert turned == 12  # all but the pattern that keeps all modes


def test_the_spectrum_at_zero():
    """±s once for each of d₁ hidden neurons; with more matrices all are errors."""
    part = critical_part()
    for width in (1, 3):
        assert part._zero_error(network([2, width, 2])) < 1e-14
    shapes = dict.fromkeys(("w1", "w2", "w3"), (1, 1))
    hessian = torch.diag(torch.tensor([0.0, 2.0, 0.0]))[None]
    wrong = SimpleNamespace(
        shapes=lambda: shapes, widths=[1, 1, 1, 1], hessian=lambda weights, data: hessian
    )
    assert part._zero_error(wrong) == 2


# laurent_von_brecht at W₁ = diag(0, 1) and W₂ = diag(1, 0)
POINT = np.array([0.0, 0, 0, 1, 1, 0, 0, 0])


def around(rise, loss="absolute"):
    model = plugin("models", "laurent_von_brecht", loss_function=loss)
    return module("kink_minimum").Around(model, POINT, np.array(rise))


def test_a_fall_by_more_than_rounding_is_a_descent():
    counts = module("kink_minimum")._counts(around([[-2e-14, -0.5e-14, -1.5e-14, 0.0, 1.0]]))
    assert counts == {"perturbations": 5, "descents": 2}


def test_the_steepest_direction_is_that_of_the_largest_fall_for_the_distances_square():
    """Falls of 4 at (0, 3), none at (0, 1), and of 8 at (−2, 0), under the second loss."""
    part, shifts = module("kink_minimum"), np.array([[[0.0, 3], [0, 1], [-2, 0]]])
    rises = [np.array([[-4.0, 0.5, 0]]), np.array([[0.0, 0.5, -8]])]
    assert part._steepest(rises, shifts).tolist() == [-1, 0]
    assert part._steepest(rises[:1], shifts).tolist() == [0, 1]
    assert part._steepest([], shifts).tolist() == [0, 3]


def test_the_slice_goes_half_a_unit_either_way(monkeypatch):
    """Along (W₁)₁₁ the matrix gets an entry s, and the absolute error a part |s|."""
    monkeypatch.setattr(module("kink_minimum"), "_steepest", lambda *_: np.eye(8)[0])
    model = plugin("models", "laurent_von_brecht", loss_function="absolute")
    critical = xr.Dataset(matrices([POINT[:4].reshape(2, 2)], [POINT[4:].reshape(2, 2)]))
    results = Handmade({"one": {"model": model}}, {"critical_points": {"one": critical}})
    plugin_ = analysis("kink_minimum", radii=[0.5, 0.25], samples=300)
    found = plugin_.compute(results)
    steps = found["slice_step"].values
    np.testing.assert_allclose(steps, np.arange(-100, 101) / 200)
    np.testing.assert_allclose(found["slice_rise"].values, [np.abs(steps)], atol=1e-15)
    assert (found["least_rise"] < 0.7 * found["median_rise"]).all()
    shifts = plugin_._shifts(1)
    for end in (shifts.max(axis=(1, 2)), -shifts.min(axis=(1, 2))):
        assert (end <= [0.5, 0.25]).all() and (end > [0.49, 0.245]).all()


def test_the_bound_is_violated_by_more_than_rounding():
    """A shift of (W₁)₁₁ by ¼: A₁₁ = ¼, and all coefficients are 0."""
    shifts = np.zeros((1, 3, 8))
    shifts[..., 0] = 0.25
    rises = [[0.25 - 1.5e-14, 0.25 - 0.5e-14, 0.25]]
    found = module("kink_minimum")._proof(around(rises), shifts)
    assert found == {"bound_violations": 1, "identity_error": 0}


def test_the_error_of_the_identity_is_the_largest():
    """Rounding of large entries; there is none beside 0."""
    shifts = np.zeros((1, 20, 8))
    shifts[0, 1:] = 1e8 * np.sqrt(np.arange(2.0, 154)).reshape(19, 8)
    assert module("kink_minimum")._proof(around([np.ones(20)]), shifts)["identity_error"] > 0


def with_loss(widths, loss="squared"):
    return plugin("models", "linear_network_convex_loss", widths=widths, loss_function=loss)


def test_what_perturbations_change_is_measured_by_its_largest_entry(monkeypatch):
    """The last layer times 3/2; of the gradients at and beside 0 the largest and the least."""
    part = module("product_lemma")
    monkeypatch.setattr(part, "perturbed", lambda layers, *_: [*layers[:-1], 1.5 * layers[-1]])
    norms = iter([np.array([1.0, 3.0]), np.array([2.0, 4.0])])
    monkeypatch.setattr(part, "_norms", lambda *_: next(norms))
    streams = Streams(0, "all", np.arange(2), "test")
    found = analysis("product_lemma", draws=2)._perturbed(with_loss((2, 2, 3, 2)), streams)
    assert found["product_change"] == pytest.approx(0.5)
    assert (found["zero_gradient"], found["perturbed_gradient"]) == (3, 2)


@pytest.mark.parametrize(
    ("widths", "wide"),
    [((2, 2, 2), True), ((2, 3, 1, 2), False), ((3, 2, 2), False), ((1, 1), False)],
)
def test_perturbations_need_hidden_layers_as_wide_as_the_input(widths, wide):
    streams = Streams(0, "all", np.arange(2), "test")
    assert bool(analysis("product_lemma")._perturbed(with_loss(widths), streams)) is wide


def test_the_kernel_is_that_of_the_product_and_is_last():
    """(1, 0, 0) and (0, 1, 0) are in the range of W₁, and the perturbed direction is (0, 0, 1)."""
    first = np.eye(3, 2)[None]
    second = np.ones((1, 2, 3))
    streams = Streams(0, "all", np.arange(1), "test")
    kept = module("product_lemma").perturbed([first, second], 0.5, streams)
    np.testing.assert_allclose(kept[1][0, :, :2], 1, atol=1e-15)
    assert (np.abs(kept[1][0, :, 2] - 1) > 1e-3).all()
    whole = analysis("product_lemma")._perturbed(with_loss((2, 3, 3, 2)), streams)
    assert whole["product_change"] < 1e-13


def test_the_norm_of_the_gradient_is_over_all_layers():
    """Against differences of the loss."""
    model, size = with_loss((2, 2, 2)), 1e-6
    flat = np.arange(1.0, 9) / 4

    def at(flat):
        return [flat[:4].reshape(1, 2, 2), flat[4:].reshape(1, 2, 2)]

    def loss(flat):
        weights = dict(zip(("w1", "w2"), map(torch.as_tensor, at(flat)), strict=True))
        return model.loss(weights, {}).item()

    slopes = [(loss(flat + size * e) - loss(flat - size * e)) / (2 * size) for e in np.eye(8)]
    found = module("product_lemma")._norms(model, at(flat))
    assert found == pytest.approx([np.linalg.norm(slopes)], rel=1e-7)


@pytest.mark.parametrize(
    ("factor", "offset", "agree"),
    [
        (1, 0, True),
        (1 + 0.9e-9, 0, True),
        (1 + 1.1e-9, 0, False),
        (1, 0.9e-12, True),
        (1, 1.1e-12, False),
    ],
)
def test_gradients_agree_within_rounding(factor, offset, agree):
    """Of Σ w₃w₂w₁: (w₃w₂, w₃w₁, w₂w₁) = (0, 0, 4) at (2, 2, 0)."""
    model = SimpleNamespace(convex=lambda maps: maps.sum())
    factors = [np.full((1, 1, 1), value) for value in (2.0, 2.0, 0.0)]
    expected = [np.full((1, 1, 1), value) for value in (offset, 0.0, 4.0 * factor)]
    found = module("product_lemma")._agree(model, factors, expected)
    assert found == [agree or not offset, True, agree or factor == 1]


def test_the_order_of_three_layers_shows_in_the_gradient():
    """g(W_K⋯W_1) and its printed gradient, of square layers that do not commute."""
    model = with_loss((2, 2, 2, 2))
    layers = [np.array([m]) for m in ([[1.0, 2], [0, 1]], [[1, 0], [3, 1.0]], [[0, 1], [-1.0, 2]])]
    found = module("product_lemma")._orders(model, layers)
    assert found == {"printed_order": 0, "mended_order": 1}
    # multiples of the identity commute
    layers = [factor * np.eye(2)[None] for factor in (2.0, 3.0, 5.0)]
    found = module("product_lemma")._orders(model, layers)
    assert found == {"printed_order": 1, "mended_order": 1}


def test_saddles_are_off_by_a_gradient_above_a_thousandth():
    critical = xr.Dataset(
        {
            **matrices([np.eye(2)] * 3),
            "loss": ("run", [1.0, 1.0, 1.0]),
            "index": ("run", [1, 1, 0]),
            "kind": flags(["saddle", "saddle", "degenerate"], KINDS),
        }
    )
    slopes = torch.tensor([1.1e-3, 0.9e-3, 9.0])[:, None, None]
    model = SimpleNamespace(shapes=lambda: {"w1": (2, 2)}, slope=lambda maps: slopes)
    assert module("product_lemma")._ends(model, critical, 1e-8)["saddles_off"] == 1
