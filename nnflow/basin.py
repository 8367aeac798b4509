"""Is a run provably inside the basin of a minimum?

Let x* be a critical point, λ the lowest eigenvalue of the Hessian there and Λ its norm, ρ
the run's distance from x*, and B a bound on how fast the Hessian changes within ρ of x*.
For y in that ball, ∇L(y) = H̄(y − x*) with H̄ the mean of the Hessian over the segment, so
λ − Bρ/2 ≤ H̄ ≤ Λ + Bρ/2. If

    λ > Bρ/2  and  α(Λ + Bρ/2) < 2,

each step of gradient descent with rate α comes nearer to x* by a factor below one and stays
in the ball: the run converges to the minimum x* and need not crawl the rest of the way.
"""

from __future__ import annotations

import torch

from nnflow.objective import Objective

NEWTON_STEPS = 5
"""Steps from the run to x*; convergence is quadratic, and the last step's length bounds what
is left."""


def inside_basin(objective: Objective, weights: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """(run,) bool: provably inside the basin of a minimum, up to rounding.

    weights: (run, weight). rate: (run,) the rate α of gradient descent. The model must have
    a third-derivative bound.
    """
    minimum = weights
    convex = torch.ones(len(weights), dtype=torch.bool, device=weights.device)
    for _ in range(NEWTON_STEPS):
        hessian = objective.hessian(minimum)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        gradient = objective.gradient(minimum).unsqueeze(-1)
        step = torch.cholesky_solve(gradient, factor).squeeze(-1)
        convex &= (failed == 0) & torch.isfinite(step).all(dim=1)
        if not convex.any():
            return convex
        minimum = torch.where(convex[:, None], minimum - step, weights)
    # after a Newton step of length s from within the region of quadratic convergence, less
    # than s is left to the critical point
    left = torch.linalg.vector_norm(step, dim=1)
    distance = torch.linalg.vector_norm(weights - minimum, dim=1) + left
    bound = objective.model.third_derivative_bound(objective.named(minimum), distance)
    shift = bound * distance / 2
    convex &= torch.isfinite(shift)
    shift = torch.where(convex, shift, 0.0)
    hessian = objective.hessian(minimum)
    highest = torch.linalg.matrix_norm(hessian, ord="fro")
    hessian.diagonal(dim1=1, dim2=2).sub_(shift[:, None])
    positive = torch.linalg.cholesky_ex(hessian).info == 0
    return convex & positive & (rate * (highest + shift) < 2)
