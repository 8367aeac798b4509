"""Gradient descent on a manifold."""

from __future__ import annotations

import nnflow

from ._retracted import RetractedDescent


class RiemannianGradientDescent(RetractedDescent):
    """W⁺ = R(W − α grad L(W)), grad L the tangent part of ∇L and R the retraction of the
    model's manifold: on unit spheres, a step along the tangents and normalization (Absil,
    Mahony & Sepulchre 2008, Optimization Algorithms on Matrix Manifolds, Section 4.1). Without
    a manifold it is gradient descent.
    """

    keeps_manifold = True


@nnflow.hookimpl
def nnflow_register(register):
    register("riemannian_gradient_descent", RiemannianGradientDescent)
