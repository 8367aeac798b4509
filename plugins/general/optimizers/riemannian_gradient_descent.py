"""Gradient descent on a manifold."""

from __future__ import annotations

from pydantic import PositiveFloat

import nnflow
from nnflow import Optimizer


class RiemannianGradientDescent(Optimizer):
    """W⁺ = R(W − α grad L(W)), grad L the tangent part of ∇L and R the retraction of the
    model's manifold: on unit spheres, a step along the tangents and normalization (Absil,
    Mahony & Sepulchre 2008, Optimization Algorithms on Matrix Manifolds, Section 4.1). Without
    a manifold it is gradient descent.
    """

    rate: PositiveFloat
    """Learning rate α."""

    varies = ("rate",)
    is_gradient_descent = True
    keeps_manifold = True

    def stable_curvature(self):
        return 2 / self.rate

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None]}

    def step(self, objective, weights, state):
        return objective.retract(weights - state["rate"] * objective.gradient(weights)), state


@nnflow.hookimpl
def nnflow_register(register):
    register("riemannian_gradient_descent", RiemannianGradientDescent)
