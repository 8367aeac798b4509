"""Moving the end of a run onto the critical point beside it."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnflow.engine.minres import minres
from nnflow.engine.newton import Damping, Method, Problem, find_critical, regularized_step

POLISHED = 1e-13
"""Gradient norm at which polishing ends: rounding of the gradient itself is near 1e-14."""
ITERATIONS = 50
"""Maximum number of steps; convergence is quadratic, ten are typical."""
DAMPING = Damping(least=3.0, rise=8.0, fall=8.0, give_up=1e9)
"""Values of c. Where the minimum is not isolated, less than the least lets a run slide along the
flat directions, farther than gradient descent would go; at the largest no step lowers the gradient
any more."""
TRUST = 0.5
"""The new gradient may differ by this fraction of the old one from what the quadratic model
foretold; a step that passes over a ridge does not foretell what is behind it."""
NEAR = 1e-3
"""Length of a step up to which the loss may rise: so close to a saddle, the way to it may
lead up, by no more than the gradient explains. Longer steps must descend, by a positive
definite H + c‖g‖I."""
FORCING = 1e-3
"""Relative residual to which steps are solved matrix-free: the gradient falls by as much."""
PRODUCTS = 200
"""Maximum number of products of the Hessian for such a step."""
ROUNDING = 1e-12
"""Rounding of the loss, relative to 1 + |L|: a loss may be a small difference of sums of
hundreds of terms (3e-14 was seen at a loss of 0.02)."""


def polish(
    objective: Problem,
    weights: torch.Tensor,
    radius: float,
    method: Method | None = None,
    polished: float | torch.Tensor = POLISHED,
    tell: Callable[[str], None] = lambda text: None,
) -> torch.Tensor:
    """Regularized Newton steps p = (H + c‖g‖I)⁻¹g until ‖g‖ ≤ 1e-13.

    The regularization vanishes with the gradient, so convergence is quadratic, also to
    points of a degenerate set under a local error bound (Li, Fukushima, Qi & Yamashita
    2004). A step that does not lower the gradient norm, that raises the loss, or that
    leaves the region where the quadratic model can be trusted, is taken again with c eight
    times larger. Runs that end farther than `radius` from where they
    began are put back.

    The regularized system is never singular where H is positive semidefinite, and its solution
    lies in the range of H where g does: along the flat directions of a degenerate minimum a run
    stays where it is.

    On a manifold the steps are taken in the tangent space and retracted.

    weights: (run, weight). method: CautiousSteps, which forms Hessians, or FreeSteps, which does
    not. polished: another norm to end at, one number or (run,). tell: is told how far it is.
    Returns (run, weight).
    """
    moved = find_critical(
        objective, weights, method or CautiousSteps(), ITERATIONS, polished, tell=tell
    )
    near = torch.linalg.vector_norm(moved - weights, dim=1) <= radius
    return torch.where(near[:, None], moved, weights)


class _Steps:
    """A step of `polish`, and when it is taken."""

    damping: Damping = DAMPING

    def trial(self, problem, weights, gradient, loss, factor):
        norm = torch.linalg.vector_norm(gradient, dim=1)
        damping = (factor * norm)[:, None]
        step, convex, failed = self._solved(problem, weights, gradient, damping)
        step = problem.from_tangent(weights, step)
        moved = problem.retract(weights - step)
        new_gradient, new_loss = problem.gradient(moved), problem.loss(moved)
        length = torch.linalg.vector_norm(step, dim=1)
        surprise = torch.linalg.vector_norm(new_gradient - damping * step, dim=1)
        slack = torch.where(length < NEAR, norm * length, 0.0)
        better = (
            ~failed
            & (convex | (length < NEAR))
            & (torch.linalg.vector_norm(new_gradient, dim=1) < norm)
            & (surprise <= TRUST * norm)
            & (new_loss <= loss + slack + ROUNDING * (1 + loss.abs()))
        )
        return moved, new_gradient, new_loss, better


class CautiousSteps(_Steps):
    """The steps of `polish`, from whole Hessians."""

    def _solved(self, problem, weights, gradient, damping):
        hessian = problem.hessian(weights)
        hessian.diagonal(dim1=1, dim2=2).add_(damping)
        return regularized_step(hessian, problem.to_tangent(weights, gradient))


class FreeSteps(_Steps):
    """The same steps from products of the Hessian alone, by MINRES."""

    def _solved(self, problem, weights, gradient, damping):
        product = problem.hessian_vector(weights)
        step, convex = minres(lambda v: product(v) + damping * v, gradient, FORCING, PRODUCTS)
        return step, convex, torch.zeros_like(convex)
