"""Nesterov's accelerated gradient descent with constant momentum."""

from __future__ import annotations

import nnflow

from ._momentum import Momentum


class Nesterov(Momentum):
    """V⁺ = βV + α∇L(W − βV),  W⁺ = W − V⁺,  V = 0 at first.

    Nesterov (1983) in the form of Sutskever et al. (2013): the gradient is taken where the
    velocity alone would lead. On a quadratic with curvature λ > 0 it converges iff
    αλ < 2(1 + β)/(1 + 2β).
    """

    ahead = True

    def stable_curvature(self):
        return 2 * (1 + self.momentum) / (1 + 2 * self.momentum) / self.rate

    def step(self, objective, weights, state):
        drift = self.momentum * state["velocity"]
        velocity = drift + state["rate"] * objective.gradient(weights - drift)
        return weights - velocity, {**state, "velocity": velocity}


@nnflow.hookimpl
def nnflow_register(register):
    register("nesterov", Nesterov)
