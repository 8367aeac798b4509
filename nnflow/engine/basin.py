"""Is a run provably inside the basin of a minimum?

Let x* be a critical point, λ and Λ the lowest and highest eigenvalues of the Hessian
there, ρ the run's distance from x*, and B a bound on how fast the Hessian changes within ρ of x*.
For y in that ball, ∇L(y) = H̄(y − x*) with H̄ the mean of the Hessian over the segment, so
λ − Bρ/2 ≤ H̄ ≤ Λ + Bρ/2. If

    λ > Bρ/2  and  α(Λ + Bρ/2) < 2,

each step of gradient descent with rate α comes nearer to x* by a factor below one and stays
in the ball: the run converges to the minimum x* and need not crawl the rest of the way.
"""

from __future__ import annotations

import torch

from nnflow.engine.objective import Objective

NEWTON_STEPS = 6
"""Most steps from the run to x*; convergence is quadratic, three are typical."""
ARRIVED = 1e-4
"""Length of the last step s, relative to the way, at which x* is known well enough: it is at
most 2s away (Kantorovich, as Bs ≪ λ), and the test allows for that."""
HOPELESS = 0.8
"""Where pᵀ∇L/‖p‖², which is at least the lowest eigenvalue at the run, is below this fraction
of B‖p‖/2, the first Newton step p promises no proof; the test ends there."""

BARELY = 0.9
"""Largest margin that is given where there is no proof yet."""


def inside_basin(objective: Objective, weights: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """(run,) bool: provably inside the basin of a minimum, up to rounding."""
    return basin_margin(objective, weights, rate) >= 1


def basin_margin(objective: Objective, weights: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """(run,): 1 where a run is provably inside the basin of a minimum, up to rounding. Below 1:
    no proof before the run's distance from the minimum has fallen by about this factor; the
    lowest eigenvalue is not known then, so that the factor errs on the side of 1. NaN: no guess.

    weights: (run, weight). rate: (run,) the rate α of gradient descent. The model must have
    a third-derivative bound.
    """
    margin = torch.full_like(weights[:, 0], torch.nan)
    rows, minimum = torch.arange(len(weights), device=weights.device), weights
    for number in range(NEWTON_STEPS):
        hessian, gradient = objective.hessian(minimum), objective.gradient(minimum)
        factor, failed = torch.linalg.cholesky_ex(hessian)
        step = torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)
        length = torch.linalg.vector_norm(step, dim=1)
        way = torch.linalg.vector_norm(weights[rows] - minimum, dim=1) + 2 * length
        bound = objective.model.third_derivative_bound(objective.named(minimum), way)
        on = (failed == 0) & torch.isfinite(length) & torch.isfinite(bound)
        if number == 0:
            curvature = (step * gradient).sum(1) / length**2
            margin[on] = (curvature / (bound * length / 2))[on].clamp_max(BARELY)
            on &= curvature > HOPELESS * bound * length / 2
        arrived = on & (length <= ARRIVED * way)
        # ρ ≤ way, and at x* the Hessian is within 2Bs of the one here
        change = bound * (way + 4 * length)
        proved = _convex_around(hessian[arrived], change[arrived], rate[rows[arrived]])
        margin[rows[arrived]] = torch.where(proved, 1.0, margin[rows[arrived]])
        on &= ~arrived
        if not on.any():
            break
        objective = objective.take(torch.nonzero(on).squeeze(1).cpu().numpy())
        rows, minimum = rows[on], (minimum - step)[on]
    return margin


def _convex_around(hessian: torch.Tensor, change: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """Is λ > Bρ/2 and Λ < 2/α − Bρ/2? change: Bρ, and what covers the way left to x*."""
    eye = torch.eye(hessian.shape[1], dtype=hessian.dtype, device=hessian.device)
    above = hessian - (change / 2)[:, None, None] * eye
    limit = 2 / rate - change / 2
    # Λ ≤ ‖H‖, which costs next to nothing and mostly settles it
    steep = torch.linalg.matrix_norm(hessian) >= limit
    below = limit[steep, None, None] * eye - hessian[steep]
    convex = torch.linalg.cholesky_ex(above).info == 0
    convex[steep] &= torch.linalg.cholesky_ex(below).info == 0
    return convex
