"""Is a run provably inside the basin of a minimum?

Let g be the gradient and H the Hessian at the run's weights W, with the lowest and highest
eigenvalues λ and Λ, and B a bound on how fast the Hessian changes within 3‖g‖/λ of W. If

    λ > μ  and  α(Λ + μ) < 2  with  μ = 3/2 √(B‖g‖),

there is a critical point x* within ρ = 3/2 η of W, η = ‖g‖/λ, by Kantorovich's theorem with h < 4/9
(engine/kantorovich.py). For y within ρ of x*, ∇L(y) = H̄(y − x*) with H̄ the mean of the Hessian
over the segment, which differs from H by less than Bρ + Bρ/2 = 9/4 Bη < μ: 0 < H̄ and αH̄ < 2, so
that each step of gradient descent with rate α comes nearer to x* by a factor below one and stays in
the ball. The run converges to the minimum x* and need not crawl the rest of the way.
"""

from __future__ import annotations

import torch

from nnflow.engine.kantorovich import curvature_needed, flatter, steeper
from nnflow.engine.objective import Objective

LIMIT = 4 / 9
"""What h stays below. With a larger limit x* may lie too far away for H to tell the curvature
there; with a smaller one the proof begins later."""
REACH = 3.0
"""How far the proof looks around a run, in lengths η: to x* and as far beyond."""
HOPE, BARELY = 0.05, 0.9
"""Smallest and largest margin that is given where there is no proof yet: beside a saddle the
curvature along the gradient is less than it may be farther on."""


def inside_basin(objective: Objective, weights: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """(run,) bool: provably inside the basin of a minimum, up to rounding."""
    return basin_margin(objective, weights, rate) >= 1


def basin_margin(objective: Objective, weights: torch.Tensor, rate: torch.Tensor) -> torch.Tensor:
    """(run,): 1 where a run is provably inside the basin of a minimum, up to rounding. Below 1:
    no proof before its gradient has fallen by about this factor, or more. NaN: no guess, as the
    loss is not convex along the gradient.

    weights: (run, weight). rate: (run,) the rate α of gradient descent. The model must have
    a third-derivative bound.
    """
    hessian, gradient = objective.hessian(weights), objective.gradient(weights)
    size = torch.linalg.vector_norm(gradient, dim=1)
    needed = curvature_needed(objective, weights, size, LIMIT, REACH)
    assert needed is not None
    # along the gradient, at least λ; NaN where there is none
    curvature = (gradient * (hessian @ gradient.unsqueeze(-1)).squeeze(-1)).sum(1) / size**2
    margin = torch.where(curvature > 0, (curvature / needed) ** 2, torch.nan).clamp(HOPE, BARELY)
    hopeful = torch.isfinite(needed) & ((curvature > needed) | (size == 0))
    some, level = hessian[hopeful], needed[hopeful]
    proved = steeper(some, level) & flatter(some, 2 / rate[hopeful] - level)
    margin[hopeful] = torch.where(proved, 1.0, margin[hopeful])
    return margin
