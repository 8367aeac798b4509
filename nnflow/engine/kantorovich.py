"""How steep a loss has to be for a critical point to lie beside given weights.

Let g be the gradient and H the Hessian at W, with the lowest eigenvalue λ > 0, and B a bound on how
fast the Hessian changes around W. Newton's step is at most η = ‖g‖/λ long, and where h = Bη/λ < ½
there is a minimum within r = (1 − √(1−2h))η/h of W (Kantorovich & Akilov, Functional Analysis,
1982, ch. XVIII). B need only bound changes from W: x ↦ x − H⁻¹∇L(x) maps the ball of radius r into
itself, as η + Br²/(2λ) = r, and contracts there by Br/λ = 1 − √(1−2h); and the Hessian at the
minimum is at least λ − Br = λ√(1−2h). h < c where λ > μ = √(B‖g‖/c).
"""

from __future__ import annotations

import torch

from nnflow.engine.objective import Objective


def curvature_needed(
    objective: Objective,
    weights: torch.Tensor,
    gradient_norm: torch.Tensor,
    limit: float,
    reach: float,
) -> torch.Tensor | None:
    """μ, (run,), inf where there is none; None: the model has no third-derivative bound.

    weights: (run, weight). gradient_norm: (run,) ‖g‖, or what it is known not to exceed. limit:
    c, what h stays below. reach: how far around W the bound is to hold, in lengths η.
    """
    named, here = objective.named(weights), torch.zeros_like(gradient_norm)
    bound = objective.model.third_derivative_bound(named, here)
    if bound is None:
        return None
    # η is at most ‖g‖/μ, and shorter for the larger B of a larger ball
    longest = (limit * gradient_norm / bound.clamp_min(torch.finfo(bound.dtype).tiny)).sqrt()
    around = objective.model.third_derivative_bound(named, reach * longest).maximum(bound)
    return around.sqrt() * (gradient_norm / limit).sqrt()  # their product might underflow


def steeper(hessian: torch.Tensor, than: torch.Tensor) -> torch.Tensor:
    """(run,) bool: do all eigenvalues of H, (run, weight, weight), exceed `than`, (run,), up to
    rounding? By Cholesky's factor of H − μI."""
    return torch.linalg.cholesky_ex(_shifted(hessian, -than)).info == 0


def flatter(hessian: torch.Tensor, than: torch.Tensor) -> torch.Tensor:
    """(run,) bool: are all eigenvalues of H below `than`, (run,), up to rounding?"""
    # none exceeds the norm of all entries, which costs next to nothing and mostly settles it
    flat = torch.linalg.matrix_norm(hessian) < than
    flat[~flat] = steeper(-hessian[~flat], -than[~flat])
    return flat


def _shifted(matrices: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    shifted = matrices.clone()
    shifted.diagonal(dim1=1, dim2=2).add_(by[:, None])
    return shifted
