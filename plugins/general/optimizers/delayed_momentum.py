"""Momentum as the lecture prints it: the gradient acts one step late."""

from __future__ import annotations

import nnflow

from ._momentum import Momentum


class DelayedMomentum(Momentum):
    """W⁺ = W − V,  V⁺ = α∇L(W) + βV,  V = 0 at first.

    Yarotsky, "Optimization of neural networks", whose text calls it the heavy ball. The
    weights move by the old V, so the gradient is delayed by a step: on a quadratic with
    curvature λ > 0 it converges iff αλ < 1 − β, where `heavy_ball` allows αλ < 2(1 + β).
    """

    def stable_curvature(self):
        return (1 - self.momentum) / self.rate

    def step(self, objective, weights, state):
        gradient = objective.gradient(weights)
        velocity = self.momentum * state["velocity"] + state["rate"] * gradient
        return weights - state["velocity"], {**state, "velocity": velocity}


@nnflow.hookimpl
def nnflow_register(register):
    register("delayed_momentum", DelayedMomentum)
