"""The gradient flow, by an adaptive Runge–Kutta method."""

from __future__ import annotations

from functools import cache

from pydantic import PositiveFloat

import nnflow
from nnflow import Optimizer, torch


class GradientFlow(Optimizer):
    """W⁺ = W(t + Δ) along dW/dt = −∇L(W): one step is the time Δ.

    The method of order 8(5,3) of Dormand and Prince (Hairer, Nørsett & Wanner 1993, Section
    II.10) with SciPy's coefficients and error estimate. Unlike SciPy's, it advances many runs
    at once, each with steps of its own, so that no run depends on its companions. Each of its
    steps costs 12 gradients.
    """

    interval: PositiveFloat = 0.1
    """Time Δ that one step of the study stands for."""
    relative_error: PositiveFloat = 1e-12
    """Allowed error of a step relative to each weight."""
    absolute_error: PositiveFloat = 1e-14
    """Allowed error of a step, added to that."""

    varies = ("interval", "relative_error", "absolute_error")

    def start(self, weights, scale):
        interval = _by_run(self.interval, weights).squeeze(1)
        # the step that the last interval ended with is where the next one begins
        return {"interval": interval * scale, "length": interval.clamp(max=1e-3)}

    def step(self, objective, weights, state):
        weights, length = weights.clone(), state["length"].clone()
        left = state["interval"].clone()
        slope = -objective.gradient(weights)
        relative, absolute = (
            _by_run(error, weights) for error in (self.relative_error, self.absolute_error)
        )
        rows = torch.arange(len(weights), device=weights.device)
        while len(rows):
            tried = torch.minimum(length[rows], left[rows])
            ends, slopes = _attempt(objective, weights[rows], slope[rows], tried)
            allowed = torch.maximum(weights[rows].abs(), ends.abs())
            allowed = absolute[rows] + relative[rows] * allowed
            error = _error(slopes, tried, allowed)
            # a run that is not finite any more is left to the stop rules
            accepted = (error < 1) | ~error.isfinite()
            factor = (SAFETY / _eighth_root(error)).clamp(SHRINK, GROW)
            factor = torch.where(error.isfinite(), factor, 1.0)
            # an interval's last, short step says nothing against the length before it
            proposed = tried * factor
            cut = accepted & (tried < length[rows])
            length[rows] = torch.where(cut, torch.maximum(length[rows], proposed), proposed)
            moved = rows[accepted]
            weights[moved], slope[moved] = ends[accepted], slopes[-1][accepted]
            left[moved] -= tried[accepted]
            done = accepted & ((left[rows] <= 0) | ~error.isfinite())
            rows = rows[~done]
        return weights, {"interval": state["interval"], "length": length}


SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0
"""Of the control of step lengths: Hairer, Nørsett & Wanner (1993), Section II.4."""


def _eighth_root(numbers):
    """Of a method of order 8; the last bits of torch's powers depend on the place in the batch."""
    return numbers.sqrt().sqrt().sqrt()


@cache
def _coefficients():
    """Runge–Kutta matrix, last row and error rows, as lists of numbers."""
    from scipy.integrate import DOP853

    return DOP853.A.tolist(), DOP853.B.tolist(), DOP853.E3.tolist(), DOP853.E5.tolist()


def _by_run(number, weights):
    """A setting, one number or (run, 1), as (run, 1)."""
    return number * torch.ones_like(weights[:, :1])


def _error(slopes, tried, allowed):
    """Norm of the estimated error over what is allowed, (run,)."""
    _, _, third, fifth = _coefficients()
    low = (_combined(slopes, third) / allowed).square().sum(1)
    high = (_combined(slopes, fifth) / allowed).square().sum(1)
    both = ((high + 0.01 * low) * allowed.shape[1]).sqrt()
    return torch.where(both > 0, tried * high / both, 0.0)


def _attempt(objective, weights, slope, length):
    """Weights after one step of each run, and the slopes of all stages and of the end."""
    matrix, last, _, _ = _coefficients()
    slopes = [slope]
    length = length[:, None]
    for row in matrix[1:]:
        at = weights + length * _combined(slopes, row)
        slopes.append(-objective.gradient(at))
    ends = weights + length * _combined(slopes, last)
    slopes.append(-objective.gradient(ends))
    return ends, slopes


def _combined(slopes, factors):
    """Σᵢ factorᵢ·slopeᵢ, term by term: the last bits are then the same in every batch."""
    terms = [(slope, f) for slope, f in zip(slopes, factors, strict=False) if f]
    total = torch.zeros_like(slopes[0])
    for slope, factor in terms:
        total.add_(slope, alpha=factor)
    return total


@nnflow.hookimpl
def nnflow_register(register):
    register("gradient_flow", GradientFlow)
