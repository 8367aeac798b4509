"""Gradient descent with momentum: Polyak's heavy ball."""

from __future__ import annotations

import nnflow

from ._momentum import Momentum


class HeavyBall(Momentum):
    """V⁺ = βV + α∇L(W),  W⁺ = W − V⁺,  V = 0 at first.

    Polyak (1964). On a quadratic with curvature λ > 0 it converges iff αλ < 2(1 + β); the
    effective rate is α/(1 − β), the memory 1/(1 − β) steps.
    """

    ahead = False

    def stable_curvature(self):
        return 2 * (1 + self.momentum) / self.rate

    def step(self, objective, weights, state):
        gradient = objective.gradient(weights)
        velocity = self.momentum * state["velocity"] + state["rate"] * gradient
        return weights - velocity, {**state, "velocity": velocity}


@nnflow.hookimpl
def nnflow_register(register):
    register("heavy_ball", HeavyBall)
