"""Damped Newton steps towards critical points, many runs at once.

One loop and its methods: a method proposes a step from gradient, Hessian and damping, and says
where the new point is better; the damping falls after a better one and rises after a worse one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from nnflow.base.lazy import torch


class Problem(Protocol):
    """What the loop asks of an objective; weights and vectors are (run, weight)."""

    def take(self, rows): ...
    def loss(self, weights): ...
    def gradient(self, weights): ...
    def hessian(self, weights): ...
    def hessian_vector(self, weights): ...
    def to_tangent(self, weights, vectors): ...
    def from_tangent(self, weights, vectors): ...
    def retract(self, weights): ...


@dataclass(frozen=True)
class Damping:
    """How the factor c of a run's damping moves.

    least: first and smallest value (a run may start above it), one number or (run,). rise, fall:
    factors after a refused step and, divided by, after one taken. give_up: at this value a run has
    ended.
    """

    least: float | torch.Tensor
    rise: float
    fall: float
    give_up: float = float("inf")

    def after(self, factor: torch.Tensor, better: torch.Tensor) -> torch.Tensor:
        """The next factors."""
        lower = (factor / self.fall).clamp_min(self.least)
        return torch.where(better, lower, factor * self.rise)


class Method(Protocol):
    """A way to propose steps."""

    damping: Damping

    def trial(self, problem, weights, gradient, loss, factor):
        """(moved weights, their gradient, their loss, better): better (run,) bool says which
        steps are taken. gradient (run, weight), loss and factor (run,) are those at the weights."""
        ...


def find_critical(
    problem: Problem,
    weights: torch.Tensor,
    method: Method,
    steps: int,
    converged: float | torch.Tensor,
    first: float | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> torch.Tensor:
    """Weights after at most `steps` steps of each run, (run, weight).

    A run ends when the norm of its gradient is at most `converged`, or its damping has reached
    the method's `give_up`. converged: one number or (run,). first: first damping factor; None: the
    least one. tell: is told the number of each step.
    """
    weights = weights.clone()
    gradient, loss = problem.gradient(weights).clone(), problem.loss(weights).clone()
    factor = torch.full_like(loss, method.damping.least if first is None else first)
    for step in range(steps):
        norm = torch.linalg.vector_norm(gradient, dim=1)
        rows = torch.nonzero((norm > converged) & (factor < method.damping.give_up)).squeeze(1)
        if len(rows) == 0:
            break
        tell(f"Newton step {step + 1}")
        part = problem.take(rows.cpu().numpy())
        moved, new_gradient, new_loss, better = method.trial(
            part, weights[rows], gradient[rows], loss[rows], factor[rows]
        )
        taken = rows[better]
        weights[taken] = moved[better]
        gradient[taken], loss[taken] = new_gradient[better], new_loss[better]
        factor[rows] = method.damping.after(factor[rows], better)
    return weights


def newton_step(
    hessian: torch.Tensor, gradient: torch.Tensor, singular_below: float
) -> torch.Tensor:
    """H⁺g, (run, weight), with the pseudo-inverse: eigenvalues of H below the fraction
    `singular_below` of the largest magnitude count as zero, and the step has no part along
    them."""
    values, vectors = torch.linalg.eigh(hessian)
    along = (vectors.mT @ gradient[..., None]).squeeze(-1)
    size = values.abs()
    regular = size > singular_below * size.amax(dim=1, keepdim=True)
    along = torch.where(regular, along / torch.where(regular, values, 1.0), 0.0)
    return (vectors @ along[..., None]).squeeze(-1)


def levenberg_marquardt_step(
    hessian: torch.Tensor, gradient: torch.Tensor, damping: torch.Tensor
) -> torch.Tensor:
    """(H² + dI)⁻¹Hg, (run, weight), the step that lowers ½‖g‖²; damping d (run,). 0 where all
    of it is.

    It is the real part of (H + i√d I)⁻¹g, whose system is as well conditioned as H where that of
    H² + dI has the square of it, and takes a third of the time of the eigenvalues of H.
    """
    shift = damping.sqrt()[:, None].expand(gradient.shape).diag_embed()
    both = torch.complex(hessian, shift.to(hessian.dtype))
    solved, info = torch.linalg.solve_ex(both, gradient.to(both.dtype))
    step, singular = solved.real.clone(), info != 0
    if singular.any():  # no damping, and no part of the step where H is 0
        step[singular] = _undamped(hessian[singular], gradient[singular])
    return step


def _undamped(hessian: torch.Tensor, gradient: torch.Tensor) -> torch.Tensor:
    """H⁺g with the pseudo-inverse that leaves out what is 0 alone."""
    values, vectors = torch.linalg.eigh(hessian)
    along = (vectors.mT @ gradient[..., None]).squeeze(-1)
    along = torch.where(values.square() > 0, along / values, 0.0)
    return (vectors @ along[..., None]).squeeze(-1)


def regularized_step(
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


@dataclass(frozen=True)
class LevenbergMarquardtSteps:
    """W − (H² + dI)⁻¹Hg, where it lowers ‖g‖, with d = c‖g‖^power.

    Newton's method on ½‖g‖² without its third derivatives: critical points of any index attract.
    With power 2 convergence is quadratic also to points that are not isolated, under a local error
    bound (Yamashita & Fukushima 2001).
    floor: d is at least this fraction of the trace of H².
    """

    damping: Damping = Damping(1.0, 8.0, 4.0)
    power: int = 2
    floor: float = 0.0

    def trial(self, problem, weights, gradient, loss, factor):
        hessian = problem.hessian(weights)
        size = torch.linalg.vector_norm(gradient, dim=1)
        damping = factor * size**self.power
        if self.floor:
            damping = damping.maximum(self.floor * hessian.square().sum(dim=(1, 2)))
        step = levenberg_marquardt_step(hessian, gradient, damping)
        moved = weights - step
        there = problem.gradient(moved)
        return moved, there, loss, torch.linalg.vector_norm(there, dim=1) < size
