"""Is a run provably inside the basin of a minimum?

Let g and H be gradient and Hessian at w, λ the lowest eigenvalue of H, p = H⁻¹g the
Newton step, η = ‖p‖, and B a bound on how fast the Hessian changes within 4η of w. If

    λ > 4 B η,

then by Newton–Kantorovich (h = Bη/λ < 1/4 ≤ 1/2) there is exactly one critical point x*
within 2η of w. Everywhere in the ball around x* through w the Hessian is at least
λ − 4Bη > 0, so x* is a minimum, L is convex in the ball, and gradient descent with a rate
below 2/λ_max comes no farther from x* with any step: it converges to x*. The run need not
crawl the rest of the way.
"""

from __future__ import annotations

import torch

from nnflow.objective import Objective


def inside_basin(
    objective: Objective, weights: torch.Tensor, gradient: torch.Tensor
) -> torch.Tensor:
    """(run,) bool: provably inside the basin of a minimum, up to rounding.

    weights, gradient: (run, weight). False where the model has no third-derivative bound.
    """
    hessian = objective.hessian(weights)
    factor, failed = torch.linalg.cholesky_ex(hessian)
    newton = torch.cholesky_solve(gradient.unsqueeze(-1), factor).squeeze(-1)
    length = torch.linalg.vector_norm(newton, dim=1)
    convex = (failed == 0) & torch.isfinite(length)
    length = torch.where(convex, length, torch.zeros_like(length))
    bound = objective.model.third_derivative_bound(objective.named(weights), 4 * length)
    if bound is None:
        return torch.zeros_like(convex)
    shift = 4 * bound * length
    convex &= torch.isfinite(shift)
    shift = torch.where(convex, shift, torch.zeros_like(shift))
    hessian.diagonal(dim1=1, dim2=2).sub_(shift[:, None])
    return convex & (torch.linalg.cholesky_ex(hessian).info == 0)
