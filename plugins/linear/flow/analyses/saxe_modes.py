"""Saxe's solutions for the strengths of the modes of a balanced linear network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

import nnflow
from nnflow import Analysis

from ..._matrices import pace, slopes_in_rate

MOVING = (1e-3, 1 - 1e-6)
"""Where time is compared: strengths between these parts of the way from u₀ to s."""


class SaxeModes(Analysis):
    """du/dt = K u^{2−2/K}(s − u) for each mode of a balanced start with K layers.

    Saxe, McClelland & Ganguli (arXiv:1312.6120): for K = 2
    u(t) = s e^{2st}/(e^{2st} − 1 + s/u₀); otherwise t(u) = ∫dw/(w^{K−1}(s − w^K)) over w =
    u^{1/K}, by quadrature, and an error of time counts as one of strength, |δt|·du/dt. Where a
    mode hardly moves it is compared with u₀ and s. Step n of gradient descent with rate α counts as
    time αn; where configurations differ in the rate alone, the error is fitted against it.
    `solution_time` and `solution` (solved, mode, share) hold the exact curves of the flows, with
    their configurations' labels in `solved`.
    """

    needs = ("training", "critical_points")
    models = ("linear_network",)
    columns = {
        "saxe_error": "largest error of the strengths against the exact solution",
        "saxe_error_slope": "slope of log(error) against log(rate) of gradient descent",
        "top_eigenvalue_ratio": "largest Hessian eigenvalue at the end over K s^{2−2/K}, mean",
    }

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        errors, curves = {}, {}
        for configuration, trained in results.each("training"):
            modes = _modes(configuration.settings)
            if not modes:
                continue
            critical = results.at("critical_points", configuration.label)
            errors[configuration.label] = _largest_error(configuration.settings, modes, trained)
            table.row(
                configuration,
                saxe_error=errors[configuration.label],
                top_eigenvalue_ratio=_top_ratio(configuration.settings.model, critical),
            )
            if configuration.settings.optimizer.name == "gradient_flow":
                layers = len(configuration.settings.model.layers)
                curves[configuration.label] = [_curve(first, s, layers) for first, s in modes]
        for configuration, slope in slopes_in_rate(results.configurations, errors):
            table.row(configuration, saxe_error_slope=slope)
        return table.dataset().assign(_solutions(curves)).assign_coords(solved=list(curves))


def _modes(settings) -> list[tuple[float, float]]:
    """(u₀, s) of each mode; none unless the start is balanced and all modes begin above 0."""
    strengths = getattr(settings.initializer, "strengths", [0])
    values = settings.model.modes[1]
    if min(strengths) == 0 or len(strengths) < len(values):
        return []
    return list(zip(strengths, values, strict=True))


def _largest_error(settings, modes, trained) -> float:
    """Over all modes, runs and recorded times."""
    time = trained["trace_step"].values * pace(settings.optimizer)
    strength, layers = trained["trace_strength"].values, len(settings.model.layers)
    return max(
        _error(time, strength[:, :, mode], first, s, layers)
        for mode, (first, s) in enumerate(modes)
    )


def _top_ratio(model, critical) -> float:
    """Mean over runs; the balanced optimum has the top eigenvalue K s^{2−2/K}, s = max sᵢ."""
    layers = len(model.layers)
    expected = layers * model.modes[1][0] ** (2 - 2 / layers)
    return (critical["max_eigenvalue"].values / expected).mean()


def _solutions(curves) -> dict[str, tuple]:
    """The curves of each label, [(times, strengths) of each mode]."""
    return {
        name: (
            ("solved", "mode", "share"),
            np.array([[pair[i] for pair in c] for c in curves.values()]),
        )
        for i, name in enumerate(("solution_time", "solution"))
        if curves
    }


def times(strengths: np.ndarray, first: float, s: float, layers: int) -> np.ndarray:
    """t(u) at which a mode that begins at `first` reaches each of the strengths, all below s,
    or all above it as `first` is."""
    from scipy.integrate import quad

    u = np.asarray(strengths, dtype=float)
    if layers == 1:
        return np.log((s - first) / (s - u))
    if layers == 2:
        return np.log(u * (s - first) / (first * (s - u))) / (2 * s)
    order = np.argsort(np.abs(u - first))
    ends = np.concatenate([[first], u[order]]) ** (1 / layers)

    def slowness(w: float) -> float:
        return 1 / (w ** (layers - 1) * (s - w**layers))

    parts = [quad(slowness, *pair, epsabs=0, epsrel=1e-11)[0] for pair in pairwise(ends)]
    found = np.empty(len(u))
    found[order] = np.cumsum(parts)
    return found


def _error(time, found: np.ndarray, first: float, s: float, layers: int) -> float:
    """Largest error of a mode over runs and times; found: (run, trace_step)."""
    worst = 0.0
    low, high = (first + part * (s - first) for part in MOVING)
    for run in found:
        known = np.isfinite(run)
        u, t = run[known], time[known]
        inside = (u > low) & (u < high)
        late = np.abs(times(u[inside], first, s, layers) - t[inside])
        speed = layers * u[inside] ** (2 - 2 / layers) * np.abs(s - u[inside])
        worst = max(worst, (late * speed).max(initial=0), abs(u[0] - first), abs(u[-1] - s))
    return worst


def _curve(first: float, s: float, layers: int) -> tuple[np.ndarray, np.ndarray]:
    """Times and strengths of the exact solution."""
    shares = 1 / (1 + np.exp(-np.linspace(-12, 14, 120)))
    u = first + shares * (s - first)
    return times(u, first, s, layers), u


@nnflow.hookimpl
def nnflow_register(register):
    register("saxe_modes", SaxeModes)
