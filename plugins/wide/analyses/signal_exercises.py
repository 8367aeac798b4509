"""The exercises on signal propagation, each answered by counting or by a largest error."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Activation, Analysis

from .._gaussian import expectation
from .._moments import Moments, Quadrature, moments
from .._nonlinearity import nonlinearity
from .._phase_diagram import phase_diagram
from .._signal import FixedCorrelation, FixedPoint, Propagation, attracting
from .._uniform_bias import excess_kurtosis, fixed_length

VARIANCES = np.array([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0])
"""Of weights and of biases at which rules are tried."""
LENGTHS = np.array([0.05, 0.5, 1.0, 3.0, 10.0])
CORRELATIONS = np.array([-0.9, -0.5, 0.0, 0.3, 0.7, 0.9])
STEP = 1e-5
"""Of central differences."""
DEPTH = 200
"""Layers over which correlations are followed where there is no fixed point."""
SETTLED = 10
"""Correlations are followed over this many depth scales ξ_c where there is one."""
SLOWEST = 60
"""Networks with a longer ξ_c are left out."""
NEAR = 0.01
"""Correlations this near to c*, relative to the start's distance, have arrived: e⁻¹⁰ is less."""


class SignalExercises(Analysis):
    """Answers to the lecture's exercises, over `activations` and pairs of variances.

    Statements are counts of exceptions, explicit maps largest differences from quadrature (of all
    activations with a closed form), slopes largest differences from differences of the map.
    """

    columns = {
        "pairs": "networks tried: activations times pairs of variances",
        "zero_exceptions": "networks whose q = 0 is fixed against the rule: α_h = 0 and"
        " (σ(0) = 0 or α_w = 0)",
        "tanh_cells": "pairs of variances of tanh tried",
        "tanh_exceptions": "those with q* ≠ 0 other than exactly for α_h > 0 or α_w > 1, not"
        " unique, or with a outside (0, 1)",
        "tanh_small_weights": "fixed points q* ≠ 0 of tanh at α_w² = 1/2, α_h = 0",
        "relu_length_error": "largest |ν − (α_w² q/2 + α_h²)| of ReLU, by quadrature",
        "relu_correlation_error": "largest error of ReLU's explicit correlation map, by quadrature",
        "closed_form_error": "largest |closed form − quadrature| of all moments, |c| ≤ .9",
        "one_error": "largest |C̃(1) − 1| at fixed points",
        "chi1_error": "largest |slope of C̃ at 1 − χ₁|",
        "a_error": "largest |slope of ν − a|, relative to 1 + |a|",
        "a_formula_error": "largest |χ₁ + α_w² E σσ'' − a| where σ is smooth, relative to 1 + |a|",
        "b_error": "largest |slope of C̃ at c* − b|",
        "followed": "networks whose correlations were followed",
        "correlation_exceptions": "those that did not come near c*: 1 if χ₁ < 1, below 1 if χ₁ > 1",
        "relu_chi1": "χ₁ of ReLU at α_w² = 3, α_h² = .1, where there is no fixed point",
        "relu_slope_at_one": "slope of its correlation map at c = 1 after 200 layers",
        "relu_decay": "its k²(1 − c) at k = 200",
        "critical_relu_decay": "k²(1 − c) of ReLU at α_w² = 2, α_h = 0, at k = 2000 from c = 0",
        "uniform_bias_length": "q* of tanh at (1, 1/2) with uniform biases",
        "gaussian_bias_length": "q* of tanh at (1, 1/2) with Gaussian biases",
        "uniform_bias_kurtosis": "excess kurtosis of z at this point with uniform biases",
    }

    activations: list[Activation]
    """σ, at least tanh and relu."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        known = {activation.name: moments(activation) for activation in self.activations}
        table.everywhere(**_zero(known))
        table.everywhere(**_tanh(known["tanh"]))
        table.everywhere(**_closed_forms(self.activations, known))
        table.everywhere(**_relu(Quadrature(known["relu"].sigma)))
        table.everywhere(**_slopes(known))
        table.everywhere(**_without_fixed_point(known["relu"]))
        table.everywhere(**_uniform(known["tanh"]))
        return table.dataset()


ERRORS = ("one_error", "chi1_error", "a_error", "a_formula_error", "b_error")


def _zero(known: dict[str, Moments]) -> dict[str, int]:
    """Is 0 fixed exactly where the rule says so?"""
    wrong = 0
    for one in known.values():
        at_zero = float(one.sigma.value(np.zeros(1))[0])
        for weight in VARIANCES:
            for bias in VARIANCES:
                fixed = float(Propagation(one, weight, bias).length(0.0)) == 0
                wrong += fixed != (bias == 0 and (at_zero == 0 or weight == 0))
    return {"pairs": len(known) * len(VARIANCES) ** 2, "zero_exceptions": wrong}


def _tanh(tanh: Moments) -> dict[str, int]:
    weights, biases = np.linspace(0, 4, 41), np.concatenate([[0], np.geomspace(1e-4, 4, 20)])
    found = phase_diagram(tanh, weights, biases)
    positive = found.count - (biases == 0)
    expected = (biases > 0) | (weights[:, None] > 1)
    inside = ~expected | (weights[:, None] == 0) | ((found.a > 0) & (found.a < 1))
    small = phase_diagram(tanh, [0.5], [0.0])
    return {
        "tanh_cells": found.q.size,
        "tanh_exceptions": int(((positive != expected) | ~inside).sum()),
        "tanh_small_weights": int(small.count[0, 0]) - 1,
    }


def _closed_forms(activations: list[Activation], known: dict[str, Moments]) -> dict[str, float]:
    worst = 0.0
    for activation in activations:
        closed = known[activation.name]
        if type(closed) is Quadrature:
            continue
        quadrature = Quadrature(nonlinearity(activation))
        worst = max(
            worst, float(np.abs(closed.single(LENGTHS)[0] - quadrature.single(LENGTHS)[0]).max())
        )
        if isinstance(closed, Quadrature):  # its pairs are the same series
            continue
        for q in LENGTHS:
            pairs = [one.pair(q, 1.0, CORRELATIONS)[0] for one in (closed, quadrature)]
            worst = max(worst, float(np.abs(pairs[0] - pairs[1]).max()))
    return {"closed_form_error": worst}


def _relu(quadrature: Quadrature) -> dict[str, float]:
    """ν = α_w² q/2 + α_h² and C̃ = (α_w² q*(sin θ + (π − θ)cos θ)/2π + α_h²)/q*, cos θ = c."""
    maps = Propagation(quadrature, 1.5, 0.2)
    length = np.abs(maps.length(LENGTHS) - (1.5 * LENGTHS / 2 + 0.2)).max()
    q, theta = 0.2 / (1 - 1.5 / 2), np.arccos(CORRELATIONS)
    overlap = (np.sin(theta) + (np.pi - theta) * CORRELATIONS) / (2 * np.pi)
    found = maps.correlation(CORRELATIONS, q)
    return {
        "relu_length_error": float(length),
        "relu_correlation_error": float(np.abs(found - (1.5 * q * overlap + 0.2) / q).max()),
    }


def _slopes(known: dict[str, Moments]) -> dict[str, float]:
    """The slopes, and where correlations lead, at the fixed points with q* > 0."""
    worst = dict.fromkeys(ERRORS, 0.0)
    followed = wrong = 0
    for one in known.values():
        for weight, bias in ((0.5, 0.2), (1.5, 0.1), (4.0, 0.5)):
            maps = Propagation(one, weight, bias)
            point = attracting(maps.fixed_points((1e-3, 1e3)))
            if point is None:
                continue
            for key, value in _slope_errors(maps, point).items():
                worst[key] = max(worst[key], value)
            correlation = maps.fixed_correlation(point)
            if correlation.xi_c.value < SLOWEST:
                followed += 1
                wrong += not _arrives(maps, point.q.value, correlation)
    return {**worst, "followed": followed, "correlation_exceptions": wrong}


def _slope_errors(maps: Propagation, point: FixedPoint) -> dict[str, float]:
    q, correlation = point.q.value, maps.fixed_correlation(point)
    ends = maps.length(q * np.array([1 - STEP, 1 + STEP]))
    found = {
        "a_error": abs((ends[1] - ends[0]) / (2 * STEP * q) - point.a.value)
        / (1 + abs(point.a.value))
    }
    found["one_error"] = (
        abs(maps.weight_variance * maps.moments.single(q)[0][0] + maps.bias_variance - q) / q
    )
    if not maps.moments.sigma.kinks:  # else the remainder is of the order 3/2
        near = 1 - STEP * np.array([1.0, 2.0])
        lost = (1 - maps.correlation(near, q)) / (1 - near)
        found["chi1_error"] = abs(2 * lost[0] - lost[1] - point.chi1.value)
        found["a_formula_error"] = _formula_error(maps, point)
    c = min(correlation.c.value, 0.5) if correlation.c.value == 1 else correlation.c.value
    slope = np.diff(maps.correlation(c + STEP * np.array([-1, 1]), q))[0] / (2 * STEP)
    exact = maps.weight_variance * maps.moments.pair(q, q, c)[0][1]
    return {**found, "b_error": float(abs(slope - exact))}


def _formula_error(maps: Propagation, point: FixedPoint) -> float:
    """Of a = χ₁ + α_w² E σσ'', with σ'' by central differences of σ'."""
    q, sigma = point.q.value, maps.moments.sigma

    def terms(s):
        z = np.sqrt(q) * s
        return sigma.value(z) * (sigma.slope(z + STEP) - sigma.slope(z - STEP)) / (2 * STEP)

    bend, _ = expectation(terms, q, sigma.kinks, f"activation {sigma.name!r}")
    a = point.a.value
    return abs(point.chi1.value + maps.weight_variance * float(bend) - a) / (1 + abs(a))


def _arrives(maps: Propagation, q: float, correlation: FixedCorrelation) -> bool:
    at, depth = correlation.c.value, int(SETTLED * correlation.xi_c.value) + 1
    starts = np.array([0.0, 0.5, 0.98])
    c = starts
    for _ in range(depth):
        c = np.clip(maps.correlation(c, q), -1, 1)
    return bool((np.abs(c - at) <= NEAR * np.maximum(np.abs(starts - at), NEAR)).all())


def _without_fixed_point(relu: Moments) -> dict[str, float]:
    """Correlations of two inputs with q = 1, c = 0, as lengths go their way."""

    def followed(maps, depth):
        q, c = 1.0, 0.0
        for _ in range(depth):
            q, c = float(maps.length(q)), float(maps.correlation(c, q))
        return q, depth**2 * (1 - c)

    growing = Propagation(relu, 3.0, 0.1)
    q, decay = followed(growing, DEPTH)
    return {
        "relu_chi1": growing.slopes(1.0)[1].value,
        "relu_slope_at_one": growing.slope_at_one(q),
        "relu_decay": decay,
        "critical_relu_decay": followed(Propagation(relu, 2.0, 0.0), 2000)[1],
    }


def _uniform(tanh: Moments) -> dict[str, float]:
    length = fixed_length(tanh.sigma, 1.0, 0.5)
    gaussian = attracting(Propagation(tanh, 1.0, 0.5).fixed_points((1e-2, 1e2)))
    return {
        "uniform_bias_length": length,
        "gaussian_bias_length": gaussian.q.value,
        "uniform_bias_kurtosis": excess_kurtosis(length, 0.5),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_exercises", SignalExercises)
