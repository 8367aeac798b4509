"""Wide networks, for scripts and notebooks: `wide = nnflow.library("wide")`.

Signals: `propagation`, `phase_diagram`, `critical_line`, `critical_weight_variance`, `moments`.
Networks of finite width: `corrections`. Tangent kernels: `ntk`, `ntk_rates`, `limit_kernels`.
Concentration: `Law`, `rate`, `log_prefactor`, `log_lattice`, `sampled_log_tail`. An activation is
given by its name or as a plugin. See docs/wide-networks.md.
"""

from __future__ import annotations

from nnflow import Activation

from . import _finite_width, _moments, _phase_diagram, _signal, _tangent_kernel
from ._deviations import log_lattice, log_prefactor, rate, sampled_log_tail
from ._laws import Law
from ._signal import attracting
from ._tangent_kernel import ntk, ntk_rates


def moments(activation: Activation | str) -> _moments.Moments:
    """E σ², E σ'², E σσ'z/q, E σ(u₁)σ(u₂) and E σ'(u₁)σ'(u₂), with bounds of their errors."""
    return _moments.moments(Activation.model_validate(activation))


def propagation(
    activation: Activation | str, weight_variance: float, bias_variance: float
) -> _signal.Propagation:
    """The maps of lengths and correlations, their fixed points and depth scales.

    Raises UserError for variances that are negative or not finite.
    """
    _signal.check_variances(weight_variance, bias_variance)
    return _signal.Propagation(moments(activation), weight_variance, bias_variance)


def phase_diagram(activation: Activation | str, weight_variances, bias_variances):
    """q*, χ₁, a, c*, b and both depth scales over a grid: a `Diagram`."""
    return _phase_diagram.phase_diagram(moments(activation), weight_variances, bias_variances)


def critical_line(activation: Activation | str, q):
    """(α_w², α_h²) of χ₁ = 1 at the fixed points q."""
    return _signal.critical_line(moments(activation), q)


def critical_weight_variance(activation: Activation | str, bias_variance: float) -> float:
    """α_w² of χ₁ = 1 at this α_h² > 0."""
    return _signal.critical_weight_variance(moments(activation), bias_variance)


def corrections(maps: _signal.Propagation, q: float) -> _finite_width.Corrections:
    """Bias and variance of lengths to the order 1/n at a fixed point q."""
    return _finite_width.corrections(maps, q)


def limit_kernels(
    activation: Activation | str, weight_variance: float, bias_variance: float, inputs, hidden: int
):
    """Σ and Θ of networks of infinite width with `hidden` hidden layers."""
    one = moments(activation)
    return _tangent_kernel.limit_kernels(one, weight_variance, bias_variance, inputs, hidden)


__all__ = [
    "Law",
    "attracting",
    "corrections",
    "critical_line",
    "critical_weight_variance",
    "limit_kernels",
    "log_lattice",
    "log_prefactor",
    "moments",
    "ntk",
    "ntk_rates",
    "phase_diagram",
    "propagation",
    "rate",
    "sampled_log_tail",
]
