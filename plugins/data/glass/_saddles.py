"""Critical points of any index on the sphere, by Newton's method on ½‖grad L‖²."""

from __future__ import annotations

from dataclasses import dataclass

from nnflow import Damping, find_critical, levenberg_marquardt_step, torch

STEPS = 25
"""Of Newton's method: with 60, 2 to 4 % more of the searches end at a critical point."""
CONVERGED = 1e-12
DAMPING = Damping(0.01, 8.0, 4.0, give_up=1e9)


@dataclass(frozen=True)
class OnSphere:
    """A model without data on its manifold, as the problem of `nnflow.find_critical`."""

    model: object

    def take(self, rows):
        return self

    def loss(self, weights):
        with torch.no_grad():
            return self.model.loss({"spins": weights}, {})

    def gradient(self, weights):
        return self.model.manifold().project(weights, self._gradient(weights))

    def hessian(self, weights):
        known = self.model.hessian({"spins": weights}, {})
        return self.model.manifold().hessian(weights, self._gradient(weights), known)

    def to_tangent(self, weights, vectors):
        return (self.model.manifold().basis(weights).mT @ vectors[..., None]).squeeze(-1)

    def from_tangent(self, weights, vectors):
        return (self.model.manifold().basis(weights) @ vectors[..., None]).squeeze(-1)

    def retract(self, weights):
        return self.model.manifold().retract(weights)

    def _gradient(self, weights):
        return self.model.gradient({"spins": weights}, {})["spins"]


@dataclass(frozen=True)
class SphereSteps:
    """x − B(H² + c‖g‖²I)⁻¹Hg along the sphere, where it lowers ‖g‖."""

    damping: Damping = DAMPING

    def trial(self, problem, weights, gradient, loss, factor):
        norm = torch.linalg.vector_norm(gradient, dim=1)
        along = problem.to_tangent(weights, gradient)
        step = levenberg_marquardt_step(problem.hessian(weights), along, factor * norm**2)
        moved = problem.retract(weights - problem.from_tangent(weights, step))
        there = problem.gradient(moved)
        better = torch.linalg.vector_norm(there, dim=1) < norm
        return moved, there, problem.loss(moved), better


def critical_points(model, starts: torch.Tensor):
    """Where the method ends from the starts (point, Λ): energies and gradient norms, (point,), and
    Hessian eigenvalues (point, Λ − 1)."""
    problem = OnSphere(model)
    ends = find_critical(problem, starts, SphereSteps(), STEPS, CONVERGED)
    residuals = torch.linalg.vector_norm(problem.gradient(ends), dim=1)
    eigenvalues = torch.linalg.eigvalsh(problem.hessian(ends))
    return tuple(part.numpy() for part in (problem.loss(ends), residuals, eigenvalues))
