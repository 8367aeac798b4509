"""Manifolds that a model's weights may be bound to, and derivatives along them.

For f on ℝⁿ and a submanifold 𝓜 with the orthonormal tangent basis B at x (n × dim 𝓜),
the Riemannian gradient is the tangent part of ∇f, and the Riemannian Hessian in that basis
is Bᵀ∇²f B minus a term of the normal part of ∇f, by which 𝓜 bends away from its tangent
space (the Weingarten map; Absil, Mahony & Trumpf 2013, An extrinsic look at the Riemannian
Hessian). Points are kept as vectors of ℝⁿ throughout.
"""

from __future__ import annotations

from dataclasses import dataclass

from nnflow.base.lazy import torch


class Manifold:
    """A submanifold of the flat weights (run, weight); every method sees many runs at once."""

    @property
    def dimension(self) -> int:
        """Dimension of the manifold."""
        raise NotImplementedError

    def retract(self, weights: torch.Tensor) -> torch.Tensor:
        """A point of the manifold for weights near it, (run, weight). x ↦ retract(x + v) has the
        derivative v ↦ v along the manifold, and leaves its points where they are."""
        raise NotImplementedError

    def project(self, weights: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """The tangent parts of vectors at the weights, (run, weight)."""
        raise NotImplementedError

    def basis(self, weights: torch.Tensor) -> torch.Tensor:
        """B, orthonormal bases of the tangent spaces, (run, weight, dimension)."""
        raise NotImplementedError

    def bending(
        self, weights: torch.Tensor, basis: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        """What the Riemannian Hessian is less than Bᵀ∇²f B, in the basis,
        (run, dimension, dimension). gradient: ∇f itself, with its normal part."""
        raise NotImplementedError

    def hessian(
        self, weights: torch.Tensor, gradient: torch.Tensor, hessian: torch.Tensor
    ) -> torch.Tensor:
        """The Riemannian Hessian in the basis B, (run, dimension, dimension)."""
        basis = self.basis(weights)
        return basis.mT @ hessian @ basis - self.bending(weights, basis, gradient)


@dataclass(frozen=True)
class Spheres(Manifold):
    """Each of `count` neurons has norm 1: the product of unit spheres in ℝˡ, l = `length`.

    On a sphere Hess f[v] = P∇²f v − ⟨x, ∇f⟩ v for tangent vectors v.
    """

    count: int
    length: int

    @property
    def dimension(self) -> int:
        return self.count * (self.length - 1)

    def retract(self, weights: torch.Tensor) -> torch.Tensor:
        points = self._rows(weights)
        return (points / torch.linalg.vector_norm(points, dim=2, keepdim=True)).flatten(1)

    def project(self, weights: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        points, vectors = self._rows(weights), self._rows(vectors)
        return (vectors - (points * vectors).sum(2, keepdim=True) * points).flatten(1)

    def basis(self, weights: torch.Tensor) -> torch.Tensor:
        # the reflection that takes e₁ to ±x takes the other unit vectors to the tangent space
        points = self._rows(weights)
        mirror = points.clone()
        mirror[..., 0] += torch.where(points[..., 0] < 0, -1.0, 1.0)
        mirror = mirror / torch.linalg.vector_norm(mirror, dim=2, keepdim=True)
        eye = torch.eye(self.length, dtype=weights.dtype, device=weights.device)
        tangents = eye[:, 1:] - 2 * mirror[..., None] * mirror[..., None, 1:]
        basis = weights.new_zeros(
            len(weights), self.count, self.length, self.count, self.length - 1
        )
        own = torch.arange(self.count, device=weights.device)
        basis[:, own, :, own] = tangents.transpose(0, 1)
        return basis.reshape(len(weights), self.count * self.length, self.dimension)

    def bending(
        self, weights: torch.Tensor, basis: torch.Tensor, gradient: torch.Tensor
    ) -> torch.Tensor:
        outward = (self._rows(weights) * self._rows(gradient)).sum(2)
        return torch.diag_embed(outward.repeat_interleave(self.length - 1, dim=1))

    def _rows(self, weights: torch.Tensor) -> torch.Tensor:
        return weights.unflatten(1, (self.count, self.length))
