"""Moving the end of a run onto the critical point beside it."""

from __future__ import annotations

import torch

from nnflow.engine.objective import Objective

POLISHED = 1e-13
"""Gradient norm at which polishing ends: rounding of the gradient itself is near 1e-14."""
ITERATIONS = 50
"""At most so many steps; convergence is quadratic, ten are typical."""
DAMPING = 3.0
"""Smallest c. Where the minimum is not isolated, less of it lets a run slide along the flat
directions, farther than gradient descent would go."""
GIVE_UP = 1e9
"""Value of c at which a run's polishing ends: no step lowers its gradient any more."""
TRUST = 0.5
"""The new gradient may differ by this fraction of the old one from what the quadratic model
foretold; a step that passes over a ridge does not foretell what is behind it."""
NEAR = 1e-3
"""Length of a step up to which the loss may rise: so close to a saddle, the way to it may
lead up, by no more than the gradient explains. Longer steps must descend, by a positive
definite H + c‖g‖I."""
ROUNDING = 1e-12
"""Rounding of the loss, relative to 1 + |L|: a loss may be a small difference of sums of
hundreds of terms (3e-14 was seen at a loss of 0.02)."""


def polish(objective: Objective, weights: torch.Tensor, radius: float) -> torch.Tensor:
    """Regularized Newton steps p = (H + c‖g‖I)⁻¹g until ‖g‖ ≤ 1e-13.

    The regularization vanishes with the gradient, so convergence is quadratic, also to
    points of a degenerate set under a local error bound (Li, Fukushima, Qi & Yamashita
    2004). A step that does not lower the gradient norm, that raises the loss, or that
    leaves the region where the quadratic model can be trusted, is taken again with c eight
    times larger. Runs that end farther than `radius` from where they
    began are put back.

    On a manifold the steps are taken in the tangent space and retracted.

    weights: (run, weight). Returns (run, weight).
    """
    start, weights = weights, weights.clone()
    gradient, loss = objective.gradient(weights).clone(), objective.loss(weights).clone()
    factor = torch.full_like(loss, DAMPING)
    for _ in range(ITERATIONS):
        norm = torch.linalg.vector_norm(gradient, dim=1)
        rows = torch.nonzero((norm > POLISHED) & (factor < GIVE_UP)).squeeze(1)
        if len(rows) == 0:
            break
        part = objective.take(rows.cpu().numpy())
        hessian = part.hessian(weights[rows])
        damping = (factor[rows] * norm[rows])[:, None]
        hessian.diagonal(dim1=1, dim2=2).add_(damping)
        at = weights[rows]
        step, convex, failed = _solve(hessian, part.to_tangent(at, gradient[rows]))
        step = part.from_tangent(at, step)
        moved = part.retract(at - step)
        new_gradient, new_loss = part.gradient(moved), part.loss(moved)
        length = torch.linalg.vector_norm(step, dim=1)
        surprise = torch.linalg.vector_norm(new_gradient - damping * step, dim=1)
        slack = torch.where(length < NEAR, norm[rows] * length, 0.0)
        better = (
            ~failed
            & (convex | (length < NEAR))
            & (torch.linalg.vector_norm(new_gradient, dim=1) < norm[rows])
            & (surprise <= TRUST * norm[rows])
            & (new_loss <= loss[rows] + slack + ROUNDING * (1 + loss[rows].abs()))
        )
        taken = rows[better]
        weights[taken] = moved[better]
        gradient[taken], loss[taken] = new_gradient[better], new_loss[better]
        factor[rows] = torch.where(better, (factor[rows] / 8).clamp_min(DAMPING), factor[rows] * 8)
    near = torch.linalg.vector_norm(weights - start, dim=1) <= radius
    return torch.where(near[:, None], weights, start)


def _solve(
    hessian: torch.Tensor, gradient: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """H⁻¹g, (run, weight), where H is positive definite, and where it is singular, (run,)."""
    factor, info = torch.linalg.cholesky_ex(hessian)
    convex, failed = info == 0, torch.zeros_like(info, dtype=torch.bool)
    step = torch.cholesky_solve(gradient[..., None], factor).squeeze(-1)
    if not convex.all():  # LU takes twice as long
        step[~convex], info = torch.linalg.solve_ex(hessian[~convex], gradient[~convex])
        failed[~convex] = info != 0
    return step, convex, failed
