"""Gradient descent on a convex set."""

from __future__ import annotations

import nnflow

from ._retracted import RetractedDescent


class ProjectedGradientDescent(RetractedDescent):
    """W⁺ = P(W − α∇L(W)), P the Euclidean projection onto the convex set that the model's weights
    are confined to (Goldstein 1964; Levitin & Polyak 1966). Without constraints it is gradient
    descent. With α < 2/M, M the Lipschitz constant of ∇L, the loss never rises.
    """

    keeps_constraints = True


@nnflow.hookimpl
def nnflow_register(register):
    register("projected_gradient_descent", ProjectedGradientDescent)
