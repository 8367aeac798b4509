"""Every column of the analyses of signal propagation, on few networks."""

import dataclasses
import math

import numpy as np
import pytest
from handmade import Between, Handmade, analysis, assert_columns
from scipy.optimize import brentq
from scipy.special import erf
from studies import module
from wide_networks import propagation

NETWORKS = [("tanh", 1.69, 0.09), ("gelu", 1.99, 0.16), ("hard_tanh", 1.69, 0.09), ("cosine", 3, 0)]


def networks(chosen=NETWORKS):
    return [
        {"activation": {"name": name}, "weight_variance": w, "bias_variance": h}
        for name, w, h in chosen
    ]


def slope_of_hard_tanh(w, h):
    """ν(q) = w E min(q z², 1) + h, whose slope is w E z² over √q |z| < 1."""

    def part(q):
        return erf(1 / math.sqrt(2 * q)) - math.sqrt(2 / (math.pi * q)) * math.exp(-1 / (2 * q))

    def length(q):
        return w * (q * part(q) + 1 - erf(1 / math.sqrt(2 * q))) + h

    return w * part(brentq(lambda q: length(q) - q, 1e-3, 10, xtol=1e-15))


def test_columns_of_signal_fixed_points():
    expected = {
        "fixed_points": [6],
        "most_fixed_points": [3],
        "stability_exceptions": [0],
        "largest_error": [Between(1e-18, 1e-10)],
        "largest_residual": [Between(0, 1e-13)],
        "gelu_a": [pytest.approx(1.003359327106, abs=2e-12)],
        "hard_tanh_a": [pytest.approx(slope_of_hard_tanh(1.69, 0.09), abs=1e-11)],
        "alternating_a": [pytest.approx(-0.13101972016532, abs=1e-12)],
    }
    plugin = analysis("signal_fixed_points", networks=networks())
    found = assert_columns(plugin, Handmade(), expected)
    assert found["stable"].values.tolist() == [1, 1, 0, 1, 1, 1]
    middle = found.isel(fixed_point=2)
    # basins meet at the unstable point, from which no run stays away or comes back
    assert found["basin_high"].values[1] == middle["q"] == found["basin_low"].values[3]
    assert found["basin_low"].values[1] < found["q"].values[1] < found["basin_high"].values[1]
    assert math.isnan(middle["xi_q"]) and found["q"].values[0] == pytest.approx(0.6070467919093)
    assert found["c"].values[3] == pytest.approx(0.983269091507223, abs=1e-11)


def test_without_gelu_and_hard_tanh_their_slopes_are_unknown(monkeypatch):
    fixed = module("signal_fixed_points")
    monkeypatch.setattr(fixed, "agrees", lambda maps, point: False)
    plugin = analysis("signal_fixed_points", networks=networks(NETWORKS[:1]))
    found = plugin.compute(Handmade())
    assert math.isnan(found["gelu_a"].item()) and math.isnan(found["hard_tanh_a"].item())
    assert found["stability_exceptions"].item() == 1


def test_a_point_agrees_with_what_lengths_do_beside_it():
    """ν leads back to a stable point and away from an unstable one; a wrong word is seen."""
    fixed, maps = module("signal_fixed_points"), propagation("gelu", 1.99, 0.16)
    points = maps.fixed_points()
    assert [fixed.agrees(maps, point) for point in points] == [True] * 3
    turned = [_with(point, stable=not point.stable) for point in points]
    assert [fixed.agrees(maps, point) for point in turned] == [False] * 3
    assert fixed.agrees(maps, _with(points[0], stable=None))
    zero, _ = propagation("gelu", 3, 0).fixed_points()
    assert fixed.agrees(propagation("gelu", 3, 0), zero)


def _with(point, stable):
    """The fixed point with another verdict on its stability."""
    from types import SimpleNamespace

    return SimpleNamespace(q=point.q, stable=stable)


def line_of_erf(h):
    """α_w² where χ₁ = α_w² (4/π)/√(1 + 4q) = 1 at the fixed point
    q = α_w² (2/π) arcsin(2q/(1 + 2q)) + h."""

    def weight(q):
        return math.sqrt(1 + 4 * q) * math.pi / 4

    def excess(q):
        return weight(q) * (2 / math.pi) * math.asin(2 * q / (1 + 2 * q)) + h - q

    return weight(brentq(excess, 1e-3, 10, xtol=1e-15))


@pytest.mark.parametrize(("name", "line"), [("erf", line_of_erf(0.05)), ("relu", math.nan)])
def test_columns_of_signal_phase_diagram(name, line):
    w, h = np.linspace(0.5, 4, 4), np.linspace(0, 1, 4)
    signal, found = module("_signal"), []
    for weight in w:
        for bias in h:
            points = propagation(name, weight, bias).fixed_points()
            found.append((len(points), signal.attracting(points)))
    chi1 = np.array([math.nan if point is None else point.chi1.value for _, point in found])
    expected = {
        "cells": [16],
        "without": [sum(point is None for _, point in found)],
        "several": [sum(count > 1 for count, _ in found)],
        "chaotic": [(chi1 > 1).sum()],
        "relative_error": [Between(1e-18, 1e-6)],
        # at 2, where χ₁ of ReLU is 1, lengths have no fixed point
        "line_at": [pytest.approx(line, abs=1e-10, nan_ok=True)],
    }
    plugin = analysis("signal_phase_diagram", activation={"name": name}, size=4)
    assert 0 < expected["without"][0] < 16 or name == "erf"
    assert 0 < expected["chaotic"][0] < 16 or name == "relu"
    assert_columns(plugin, Handmade(), expected)


def test_reasons_say_what_their_numbers_mean():
    """ReLU has a fixed point at (1, ½), none at (2, ½), and the fixed point 0 at (1, 0)."""
    found = analysis(
        "signal_phase_diagram", activation={"name": "relu"}, size=2,
        weight_variances=(1, 2), bias_variances=(0, 0.5),
    ).compute(Handmade())["reason"]  # fmt: skip
    meanings = dict(
        zip(found.attrs["flag_values"], found.attrs["flag_meanings"].split(), strict=True)
    )
    assert meanings == {0: "found", 1: "no_fixed_point_in_the_range", 2: "zero", 3: "critical"}
    said = [[meanings[int(number)] for number in row] for row in found.values]
    assert said[0] == ["zero", "found"] and said[1][1] == "no_fixed_point_in_the_range"


def test_errors_count_where_a_scale_is_short_and_biases_are_there():
    from types import SimpleNamespace

    error = module("signal_phase_diagram")._error
    value = np.array([[1.0, 2.0, 2000.0]])
    found = SimpleNamespace(
        xi_q=value, xi_q_error=value * [[0.5, 0.1, 3]], xi_c=value, xi_c_error=value * [[9, 0.2, 1]]
    )
    assert error(found, np.array([False, True, True])) == pytest.approx(0.2)
    assert error(found, np.array([True, False, False])) == pytest.approx(9)


def test_columns_of_signal_exercises():
    chosen = [{"name": name} for name in ("tanh", "relu", "erf", "cosine")]
    expected = {
        "pairs": [4 * 64],
        "zero_exceptions": [0],
        "tanh_cells": [41 * 21],
        "tanh_exceptions": [0],
        "tanh_small_weights": [0],
        "relu_length_error": [Between(0, 1e-13)],
        "relu_correlation_error": [Between(0, 1e-13)],
        "closed_form_error": [Between(1e-18, 1e-13)],
        "one_error": [Between(0, 1e-13)],
        "chi1_error": [Between(1e-14, 1e-8)],
        "a_error": [Between(1e-14, 1e-8)],
        "a_formula_error": [Between(0, 1e-8)],
        "b_error": [Between(1e-14, 1e-8)],
        # ReLU has no fixed point at (4, 1/2), and erf needs 63 layers for e⁻¹ at (1.5, .1)
        "followed": [10],
        "correlation_exceptions": [0],
        "relu_chi1": [1.5],
        "relu_slope_at_one": [pytest.approx(1, abs=1e-9)],
        "relu_decay": [pytest.approx(39.07, abs=0.05)],
        "critical_relu_decay": [pytest.approx(43.7197, abs=5e-5)],
        "uniform_bias_length": [pytest.approx(0.88750886, abs=5e-9)],
        "gaussian_bias_length": [pytest.approx(0.86886873, abs=5e-9)],
        "uniform_bias_kurtosis": [pytest.approx(-1.2 * 0.25 / 0.88750886**2, rel=1e-7)],
    }
    assert_columns(analysis("signal_exercises", activations=chosen), Handmade(), expected)


def test_columns_of_signal_answers():
    expected = {
        "relu_length_p": [Between(1e-4, 1)],
        "relu_correlation_measured": [Between(1e-5, 0.03)],
        "length_decay_error": [Between(0, 1e-3)],
        "correlation_decay_error": [Between(0, 1e-3)],
    }
    plugin = analysis("signal_answers", networks=networks(NETWORKS[:1]), width=300, runs=40)
    found = assert_columns(plugin, Handmade(), expected)
    # q* of tanh at (1.69, .09), and the image of c = 0 by C̃(0) = (α_w² q*/2π + α_h²)/q* of ReLU
    assert found["length_scale"].item() == pytest.approx(1.337667642539, rel=1e-11)
    assert found["correlation_scale"].item() == pytest.approx(16.10817274348, rel=1e-10)
    at_zero = found["relu_correlation_map"].sel(start_correlation=0).item()
    assert at_zero == pytest.approx((1.5 * 0.8 / (2 * math.pi) + 0.2) / 0.8)
    # lines are drawn along both, and each start is tried once
    for start in ("start", "start_correlation"):
        assert (np.diff(found[start]) > 0).all()
    gap = found["correlation_gap"].values[0]
    assert gap[0] == 1 and gap[300] == pytest.approx(gap[200] * math.exp(-100 / 16.108), rel=1e-3)
    assert (found["relu_length_low"] <= found["relu_length_high"]).all()


def test_answers_that_are_wrong_are_seen():
    part = module("signal_answers")
    plugin = analysis("signal_answers", networks=networks(NETWORKS[:1]), width=300, runs=40)
    relu = plugin._relu(1)
    assert part._p(relu) > 1e-4
    assert part._p(relu.assign(relu_length_map=1.02 * relu["relu_length_map"])) == 0
    # beyond q = 0, where every network has α_h²: two per cent of the slope
    moved = relu["relu_length_map"] + 0.03 * relu["start"]
    assert part._p(relu.assign(relu_length_map=moved)) < 1e-4
    # the limit is the slope of the end, and not that of the way there
    gaps = np.exp(-np.arange(400) / 7.0)
    assert part._slope(gaps) == pytest.approx(-1 / 7)
    assert math.isnan(part._slope(np.ones(5)))


def test_networks_that_break_the_rules_are_counted(monkeypatch):
    part = module("signal_exercises")
    monkeypatch.setattr(part, "_arrives", lambda maps, q, correlation: False)
    known = {"tanh": module("_moments").moments(_activation("tanh"))}
    assert part._slopes(known)["correlation_exceptions"] == part._slopes(known)["followed"] == 3
    # with lengths that never vanish, 0 is fixed nowhere: 15 pairs have (0, h = 0) or (w = 0, h = 0)
    honest = part.Propagation.length
    monkeypatch.setattr(part.Propagation, "length", lambda self, q: honest(self, q) + 1.0)
    assert part._zero(known)["zero_exceptions"] == 8


def test_a_length_that_is_no_fixed_point_is_seen():
    """Above the attracting fixed point the map leads down: by (q − ν(q))/q."""
    part = module("signal_exercises")
    maps = part.Propagation(module("_moments").moments(_activation("tanh")), 1.69, 0.09)
    point = part.attracting(maps.fixed_points((1e-3, 1e3)))
    q = 1.5 * point.q.value
    wrong = dataclasses.replace(point, q=dataclasses.replace(point.q, value=q))
    expected = (q - float(maps.length(q))) / q
    assert expected > 0.1
    assert part._slope_errors(maps, wrong)["one_error"] == pytest.approx(expected, rel=1e-6)


def _activation(name):
    from wide_networks import activation

    return activation(name)
