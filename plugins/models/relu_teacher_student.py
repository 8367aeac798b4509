"""Two-layer ReLU networks that learn a two-layer ReLU teacher: the population loss."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Model, torch


class ReluTeacherStudent(Model):
    """n students learn k orthonormal teacher neurons on Gaussian inputs.

    F(W) = ½ E_{x∼N(0,I)} (Σᵢ σ(wᵢ·x) − Σⱼ σ(vⱼ·x))²,  σ(t) = max(t, 0),  vⱼ = eⱼ,

    in closed form through E σ(w·x)σ(v·x) = ‖w‖‖v‖ h(θ)/2π with h(θ) = (π−θ)cos θ + sin θ
    and θ the angle between w and v (Cho & Saul 2009; Safran & Shamir 2018, Section 2, whose
    published numbers carry the factor ½ too). Symmetric under permutations of the students,
    and of the coordinates together with the teachers.
    """

    k: PositiveInt
    """Teacher neurons; also the input dimension."""
    n: PositiveInt
    """Student neurons."""

    def shapes(self):
        return {"w": (self.n, self.k)}

    def dimensions(self):
        return {"w": ("neuron", "input")}

    def infimum(self):
        return 0.0 if self.n >= self.k else None

    def loss(self, weights, data):
        w = weights["w"]
        norm, unit = _polar(w)
        among = _kernel(_cosines(unit)) * norm * norm.mT
        across = _kernel(unit) * norm
        k = self.k
        constant = k * (math.pi + k - 1) / (4 * math.pi)
        return among.sum((1, 2)) / (4 * math.pi) - across.sum((1, 2)) / (2 * math.pi) + constant

    def gradient(self, weights, data):
        """∇_{wᵢ}F = ½wᵢ + Σ_{j≠i} g(wᵢ,wⱼ) − Σⱼ g(wᵢ,vⱼ) with
        g(w,v) = (‖v‖ sin θ w/‖w‖ + (π−θ)v)/2π (Safran & Shamir 2018, Section 4)."""
        w = weights["w"]
        norm, unit = _polar(w)
        # one array for both kinds of angles, worked in place: this is the hot loop
        cosine = torch.empty(*w.shape[:2], self.n + self.k, dtype=w.dtype, device=w.device)
        cosine[..., : self.n] = _cosines(unit)
        cosine[..., self.n :] = unit
        rest = _arccos(cosine).neg_().add_(math.pi)
        sine = _sqrt(cosine.mul_(cosine).neg_().add_(1).clamp_(min=0))
        radial = (sine[..., : self.n] * norm.mT).sum(2) - sine[..., self.n :].sum(2)
        gradient = torch.baddbmm(radial[..., None] * unit, rest[..., : self.n], w)
        return {"w": gradient.sub_(rest[..., self.n :]).mul_(1 / (2 * math.pi))}
    def hessian(self, weights, data):
        """Blocks over pairs of students (Safran & Shamir 2018, Section 4), written with the
        unit tangents t̂_ij of wⱼ seen from wᵢ, which stay accurate at small angles:

        H_ij = [(π−θ)I + w̄ᵢt̂_ijᵀ + w̄ⱼt̂_jiᵀ]/2π,
        H_ii = ½I + Σ_u ±‖u‖ sin θ/(2π‖wᵢ‖) (I − w̄ᵢw̄ᵢᵀ + t̂t̂ᵀ), u over the other students (+)
        and the teachers (−).
        """
        w = weights["w"]
        n, k = self.n, self.k
        norm, unit = _polar(w)
        eye = torch.eye(k, dtype=w.dtype, device=w.device)
        others = torch.cat([unit, eye.expand(len(w), k, k)], dim=1)
        length = torch.cat([norm, norm.new_full((len(w), k, 1), -1.0)], dim=1)
        cosine = unit @ others.mT
        tangent = others[:, None] - cosine[..., None] * unit[:, :, None]
        own = torch.arange(n, device=w.device)
        tangent[:, own, own] = 0
        sine = torch.linalg.vector_norm(tangent, dim=3)
        tangent = tangent / torch.where(sine > 0, sine, 1)[..., None]
        curvature = sine * length.mT / norm / (2 * math.pi)

        outward = torch.einsum("rnu,rnua,rnub->rnab", curvature, tangent, tangent)
        total = curvature.sum(2)[..., None, None]
        diagonal = eye / 2 + total * (eye - unit[..., None] * unit[..., None, :]) + outward
        rest = math.pi - torch.atan2(sine[..., :n], cosine[..., :n])
        turn = torch.einsum("rna,rnmb->rnamb", unit, tangent[:, :, :n])
        hessian = turn + turn.permute(0, 3, 2, 1, 4)
        hessian += rest[:, :, None, :, None] * eye[:, None, :]
        hessian *= 1 / (2 * math.pi)
        hessian[:, own, :, own] = diagonal.transpose(0, 1)
        return hessian.reshape(len(w), n * k, n * k)

    def third_derivative_bound(self, weights, radius):
        """B = n[√2(n−1)(w₊ + w₋) + k]/(π w₋²) with w₊ = maxᵢ‖wᵢ‖ + r and w₋ = minᵢ‖wᵢ‖ − r
        (Safran & Shamir 2018, Lemma on the third derivatives)."""
        norms = torch.linalg.vector_norm(weights["w"], dim=2)
        largest, smallest = norms.amax(1) + radius, norms.amin(1) - radius
        pairs = math.sqrt(2) * (self.n - 1) * (largest + smallest)
        bound = self.n * (pairs + self.k) / (math.pi * smallest**2)
        return torch.where(smallest > 0, bound, math.inf)

    def smooth(self, weights, data):
        """F is twice differentiable where no student vanishes."""
        return torch.linalg.vector_norm(weights["w"], dim=2).amin(1) > VANISHED

    def canonical(self, weights):
        """Students beside the teachers along or against which they point most, from the best
        match to the worst opposition; students without a teacher follow by falling norm."""
        return {"w": torch.stack([_canonical(w) for w in weights["w"]])}

    def invariants(self, weights):
        """Sorted entries, and sorted norms and sums of rows and columns."""
        w = weights["w"]
        parts = [w.flatten(1)]
        parts += [f(w, dim=dim) for dim in (1, 2) for f in (torch.linalg.vector_norm, torch.sum)]
        return torch.cat([part.sort(dim=1).values for part in parts], dim=1)


VANISHED = 1e-6
"""Norm below which a student counts as zero, where F has a kink."""


def _polar(w):
    """Norms (run, n, 1) and directions (run, n, k)."""
    norm = torch.linalg.vector_norm(w, dim=2, keepdim=True)
    return norm, w / norm


def _cosines(unit):
    """Cosines among students, (run, n, n), with exact ones on the diagonal."""
    cosine = (unit @ unit.mT).clamp(-1, 1)
    if cosine.requires_grad:
        eye = torch.eye(unit.shape[1], dtype=torch.bool, device=unit.device)
        return torch.where(eye, 1.0, cosine)
    cosine.diagonal(dim1=1, dim2=2).fill_(1)
    return cosine


def _kernel(cosine):
    """h(θ) = (π−θ) cos θ + sin θ from cos θ."""
    inside = cosine.clamp(-1, 1)
    flat = inside.abs() == 1
    # the slope of h is π−θ, which automatic differentiation misses at cos θ = ±1
    safe = torch.where(flat, 0.0, inside)
    curved = (math.pi - torch.arccos(safe)) * safe + torch.sqrt(1 - safe * safe)
    return torch.where(flat, math.pi / 2 * (inside + inside.abs()), curved)


def _arccos(values):
    """arccos of a tensor that needs no gradient, by NumPy on a CPU: three times as fast."""
    if values.device.type == "cpu":
        return torch.from_numpy(np.arccos(values.numpy()))
    return torch.arccos(values)


def _sqrt(values):
    """Square root in place, by NumPy on a CPU."""
    if values.device.type == "cpu":
        np.sqrt(values.numpy(), out=values.numpy())
        return values
    return values.sqrt_()


def _canonical(w):
    from scipy.optimize import linear_sum_assignment

    students, teachers = linear_sum_assignment(-w.abs().cpu().numpy())
    matched = w[students, teachers]
    order = torch.argsort(matched, descending=True).cpu().numpy()
    students, teachers = students[order], teachers[order]
    left = [i for i in range(w.shape[0]) if i not in students]
    left.sort(key=lambda i: -float(w[i].norm()))
    unmatched = [j for j in range(w.shape[1]) if j not in teachers]
    return w[[*students, *left]][:, [*teachers, *unmatched]]


@nnflow.hookimpl
def nnflow_register_models(register):
    register("relu_teacher_student", ReluTeacherStudent)
