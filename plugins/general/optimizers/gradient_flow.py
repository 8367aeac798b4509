"""The gradient flow, by an adaptive Runge–Kutta method."""

from __future__ import annotations

from functools import cache

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Optimizer, torch

from ._flow_lanes import GROW, SAFETY, SHRINK, Flow, flowing

TOGETHER = 20
"""Most intervals between two looks of Python's at signals: a second for 1000 small networks."""


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
            # a number over a tensor is, in torch, a product with the reciprocal
            factor = (torch.full_like(error, SAFETY) / _eighth_root(error)).clamp(SHRINK, GROW)
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

    def steps(self, objective, weights, state, count):
        lanes = objective.lane_gradient(weights)
        if lanes is None:
            return super().steps(objective, weights, state, count)
        errors = (_by_run(e, weights) for e in (self.relative_error, self.absolute_error))
        flow = Flow(
            weights.numpy().copy(),
            state["length"].numpy().copy(),
            state["interval"].numpy(),
            *(error.squeeze(1).numpy() for error in errors),
            _table(),
        )
        for begun in range(0, count, TOGETHER):
            some = min(TOGETHER, count - begun)
            if not flowing(lanes.block)(tuple(flow), some, lanes.parameters):
                return super().steps(objective, weights, state, count)
        length = torch.from_numpy(flow.length)
        return torch.from_numpy(flow.weights), {"interval": state["interval"], "length": length}


def _eighth_root(numbers):
    """Of a method of order 8; the last bits of torch's powers depend on the place in the batch."""
    return _root(_root(_root(numbers)))


def _root(numbers):
    """√; torch's own on a processor may be one unit off in the last place."""
    if numbers.device.type != "cpu":
        return numbers.sqrt()
    with np.errstate(invalid="ignore"):
        return torch.from_numpy(np.sqrt(numbers.numpy()))


@cache
def _coefficients():
    """Runge–Kutta matrix, last row and error rows, as lists of numbers."""
    from scipy.integrate import DOP853

    return DOP853.A.tolist(), DOP853.B.tolist(), DOP853.E3.tolist(), DOP853.E5.tolist()


@cache
def _table():
    """The same as one array, (row, slope); see `Flow`."""
    matrix, *rows = _coefficients()
    return np.array([row + [0.0] * (13 - len(row)) for row in (*matrix, *rows)])


def _by_run(number, weights):
    """A setting, one number or (run, 1), as (run, 1)."""
    return number * torch.ones_like(weights[:, :1])


def _error(slopes, tried, allowed):
    """Norm of the estimated error over what is allowed, (run,)."""
    _, _, third, fifth = _coefficients()
    low = _squared(_combined(slopes, third) / allowed)
    high = _squared(_combined(slopes, fifth) / allowed)
    both = _root((high + 0.01 * low) * allowed.shape[1])
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
    total = slopes[0] * factors[0]  # which is never 0
    for slope, factor in zip(slopes[1:], factors[1:], strict=False):
        if factor:
            total += slope * factor
    return total


def _squared(rows):
    """The squared norm of each, summed from the first to the last."""
    return (rows * rows).cumsum(1)[:, -1]


@nnflow.hookimpl
def nnflow_register(register):
    register("gradient_flow", GradientFlow)
