"""Two-layer ReLU networks with fixed top weights, the same in student and teacher."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field

import nnflow
from nnflow import Model, torch


def _not_zero(values: list[float]) -> list[float]:
    if not all(math.isfinite(value) and value for value in values):
        raise ValueError("expected finite numbers other than 0")
    return values


class ReluTopWeights(Model):
    """K students learn K orthonormal teachers, with top weights aⱼ that are not trained.

    F(W) = ½ E_{x∼N(0,I)} (Σⱼ aⱼσ(wⱼ·x) − Σⱼ aⱼσ(eⱼ·x))² = ½ Σ_{p,q} c_p c_q ‖u_p‖‖u_q‖h(θ_pq)/2π
    over the students u = wⱼ, c = aⱼ, and the teachers u = eⱼ, c = −aⱼ, with h(θ) =
    (π−θ)cos θ + sin θ (Tian, arXiv:1703.00560, Section 7.3, the networks g₂). With aⱼ = 1 it is
    relu_teacher_student with n = k.
    """

    top: Annotated[list[float], Field(min_length=1), AfterValidator(_not_zero)] = Field(
        examples=[[1, 2, -1]]
    )
    """a₁, …, a_K."""

    def shapes(self):
        return {"w": (len(self.top), len(self.top))}

    def dimensions(self):
        return {"w": ("neuron", "input")}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        both, norm, signed, _ = self._both(weights["w"])
        k = len(self.top)
        unit = both / norm[..., None]
        cosine = (unit @ unit.mT).clamp(-1, 1)
        # a neuron is parallel to itself; the slope of h there is left to its norm
        own = torch.eye(2 * k, dtype=torch.bool, device=cosine.device)
        parallel = own | (cosine.abs() == 1)
        safe = torch.where(parallel, 0.0, cosine)
        curved = (math.pi - torch.arccos(safe)) * safe + torch.sqrt(1 - safe * safe)
        exact = torch.where(own, 1.0, cosine)
        kernel = torch.where(parallel, math.pi * torch.relu(exact), curved)
        scaled = signed * norm
        return (scaled[:, None] @ kernel @ scaled[..., None])[:, 0, 0] / (4 * math.pi)

    def gradient(self, weights, data):
        """∇_{wᵢ}F = aᵢ Σ_q c_q ((π−θ)u_q + ‖u_q‖ sin θ w̄ᵢ)/2π (Tian, Eq. 8 with top weights)."""
        both, norm, signed, top = self._both(weights["w"])
        k = len(self.top)
        unit = both / norm[..., None]
        cosine = (unit[:, :k] @ unit.mT).clamp(-1, 1)
        cosine.diagonal(dim1=1, dim2=2).fill_(1)
        open_angle = (math.pi - torch.arccos(cosine)) * signed[:, None]
        # not √(1 − cos²): its rounding at small angles is not that of arccos, and stays
        sine = torch.sqrt((1 - cosine) * (1 + cosine))
        radial = (sine * (signed * norm)[:, None]).sum(2)
        gradient = open_angle @ both + radial[..., None] * unit[:, :k]
        return {"w": top[:, None] * gradient / (2 * math.pi)}

    def third_derivative_bound(self, weights, radius):
        """B = max_i |aᵢ| 3√3/4 (Σ_{j≠i}|aⱼ|‖wⱼ‖ + Σ|aⱼ|)/(π‖wᵢ‖²) + max a² 3√(K−1)/(π minᵢ‖wᵢ‖).

        Each norm is at its worst within the radius. It is the bound of relu_teacher_student, each
        of whose pairs of neurons carries the factor aᵢaⱼ here."""
        norms = torch.linalg.vector_norm(weights["w"], dim=2)
        top = torch.as_tensor(self.top, dtype=norms.dtype).to(norms.device).abs()
        smallest = norms - radius[:, None]
        others = (norms @ top)[:, None] - top * norms + top.norm() * radius[:, None]
        alone = (0.75 * math.sqrt(3) * top * (others + top.sum()) / smallest**2).amax(1)
        mixed = 3 * math.sqrt(len(self.top) - 1) * top.amax() ** 2 / smallest.amin(1)
        return torch.where(smallest.amin(1) > 0, (alone + mixed) / math.pi, math.inf)

    def smooth(self, weights, data):
        """F is twice differentiable where no student vanishes."""
        return torch.linalg.vector_norm(weights["w"], dim=2).amin(1) > VANISHED

    def invariants(self, weights):
        """Sorted products with the top weights: those of neurons of equal top weights may be
        exchanged, together with their coordinates."""
        w = weights["w"]
        top = torch.as_tensor(self.top, dtype=w.dtype).to(w.device)
        return torch.cat(
            [(top[:, None] * w).flatten(1).sort(dim=1).values, (top @ w).sort(dim=1).values], dim=1
        )

    def _both(self, w):
        """Students and teachers (run, 2K, K), their norms and c (run, 2K), and a (K,)."""
        k = len(self.top)
        top = torch.as_tensor(self.top, dtype=w.dtype).to(w.device)
        teachers = torch.eye(k, dtype=w.dtype, device=w.device).expand(len(w), k, k)
        both = torch.cat([w, teachers], dim=1)
        signed = torch.cat([top, -top]).expand(len(w), 2 * k)
        return both, torch.linalg.vector_norm(both, dim=2), signed, top


VANISHED = 1e-6
"""Norm below which a student counts as zero, where F has a kink."""


@nnflow.hookimpl
def nnflow_register(register):
    register("relu_top_weights", ReluTopWeights)
