"""Two-layer ReLU networks that learn a two-layer ReLU teacher: the population loss."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import PositiveInt, model_validator

import nnflow
from nnflow import Model, Spheres, torch


class ReluTeacherStudent(Model):
    """n students learn k orthonormal teacher neurons on Gaussian inputs.

    F(W) = ½ E_{x∼N(0,I)} (Σᵢ σ(wᵢ·x) − Σⱼ σ(vⱼ·x))²,  σ(t) = max(t, 0),  vⱼ = eⱼ,

    in closed form through E σ(w·x)σ(v·x) = ‖w‖‖v‖ h(θ)/2π with h(θ) = (π−θ)cos θ + sin θ
    and θ the angle between w and v (Cho & Saul 2009; Safran & Shamir 2018, Section 2, whose
    published numbers carry the factor ½ too). Symmetric under permutations of the students,
    of the teachers with their coordinates, and under rotations of the other coordinates.
    """

    k: PositiveInt
    """Teacher neurons."""
    n: PositiveInt
    """Student neurons."""
    inputs: PositiveInt | None = None
    """Input dimension d ≥ k; default: k."""
    norms: Literal["free", "unit"] = "free"
    """`unit`: the students are bound to the unit sphere, each."""

    @model_validator(mode="after")
    def _room_for_the_teachers(self):
        if self.inputs is not None and self.inputs < self.k:
            raise ValueError(f"inputs: {self.inputs} is less than k = {self.k}")
        if self.norms == "unit" and self.d == 1:
            raise ValueError("norms: unit vectors of one input can not move")
        return self

    @property
    def d(self):
        return self.inputs or self.k

    def shapes(self):
        return {"w": (self.n, self.d)}

    def dimensions(self):
        return {"w": ("neuron", "input")}

    def infimum(self):
        reached = self.n >= self.k if self.norms == "free" else self.n == self.k
        return 0.0 if reached else None

    def manifold(self):
        return Spheres(self.n, self.d) if self.norms == "unit" else None

    def loss(self, weights, data):
        w = weights["w"]
        norm, unit = _polar(w)
        among = _kernel(_cosines(unit)) * norm * norm.mT
        k = self.k
        across = _kernel(unit[..., :k]) * norm
        constant = k * (math.pi + k - 1) / (4 * math.pi)
        return among.sum((1, 2)) / (4 * math.pi) - across.sum((1, 2)) / (2 * math.pi) + constant

    def gradient(self, weights, data):
        """∇_{wᵢ}F = ½wᵢ + Σ_{j≠i} g(wᵢ,wⱼ) − Σⱼ g(wᵢ,vⱼ) with
        g(w,v) = (‖v‖ sin θ w/‖w‖ + (π−θ)v)/2π (Safran & Shamir 2018, Section 4)."""
        w = weights["w"].detach()
        if w.device.type != "cpu":
            return {"w": _gradient(torch, w, self.k)}
        # a call of NumPy's costs a third of torch's, which counts where few runs are left
        with np.errstate(all="ignore"):
            return {"w": torch.from_numpy(_gradient(np, w.numpy(), self.k))}

    def hessian(self, weights, data):
        """Blocks over pairs of students (Safran & Shamir 2018, Section 4), written with the
        unit tangents t̂_ij of wⱼ seen from wᵢ, which are noise where two students are
        parallel, but then count for nothing:

        H_ij = [(π−θ)I + sin θ (t̂_ji t̂_ijᵀ + w̄ⱼw̄ᵢᵀ)]/2π,
        H_ii = ½I + Σ_u ±‖u‖ sin θ/(2π‖wᵢ‖) (I − w̄ᵢw̄ᵢᵀ + t̂t̂ᵀ), u over the other students (+)
        and the teachers (−).
        """
        w = weights["w"]
        n, k, d = self.n, self.k, self.d
        norm, unit = _polar(w)
        eye = torch.eye(d, dtype=w.dtype, device=w.device)
        others = torch.cat([unit, eye[:k].expand(len(w), k, d)], dim=1)
        length = torch.cat([norm, norm.new_full((len(w), k, 1), -1.0)], dim=1)
        cosine = unit @ others.mT
        tangent = others[:, None] - cosine[..., None] * unit[:, :, None]
        own = torch.arange(n, device=w.device)
        tangent[:, own, own] = 0
        sine = torch.linalg.vector_norm(tangent, dim=3)
        tangent = tangent / torch.where(sine > 0, sine, 1)[..., None]
        curvature = sine * length.mT / norm / (2 * math.pi)

        outward = (curvature[..., None] * tangent).mT @ tangent
        total = curvature.sum(2)[..., None, None]
        diagonal = eye / 2 + total * (eye - unit[..., None] * unit[..., None, :]) + outward
        rest = math.pi - torch.atan2(sine[..., :n], cosine[..., :n])
        toward, seen = sine[:, :, None, :n], tangent[:, :, :n]
        # [run, i, a, j] and [run, i, 1, j, b]: H_ij without its multiple of I
        hessian = (sine[..., :n, None] * seen).permute(0, 2, 3, 1)[..., None] * seen[:, :, None]
        hessian += (toward * unit.mT[:, None])[..., None] * unit[:, :, None, None]
        hessian += rest[:, :, None, :, None] * eye[:, None, :]
        hessian *= 1 / (2 * math.pi)
        hessian[:, own, :, own] = diagonal.transpose(0, 1)
        return hessian.reshape(len(w), n * d, n * d)

    def third_derivative_bound(self, weights, radius):
        """B = max_i [3√3/4 (Σ_{j≠i}‖wⱼ‖ + k)/‖wᵢ‖² ]/π + 3√(n−1)/(π minᵢ‖wᵢ‖), with each norm at
        its worst within the radius.

        In a direction δ the third derivative of E σ(w·x)σ(v·x) is at most
        3√3/4 ‖v‖‖δ_w‖³/(π‖w‖²) in w alone, and its mixed ones at most ‖δ_w‖²‖δ_v‖/(π‖w‖):
        both are Gaussian moments on the hyperplane w·x = 0, where E|z|³ = 2√(2/π). Summing
        over the pairs with Σⱼ‖δⱼ‖ ≤ √(n−1)‖δ‖ gives B, smaller than the bound of Safran &
        Shamir (2018) by a factor that grows with n (10 at n = k = 10, 24 at 20).
        """
        norms = torch.linalg.vector_norm(weights["w"], dim=2)
        smallest = norms - radius[:, None]
        others = norms.sum(1, keepdim=True) - norms + math.sqrt(self.n) * radius[:, None]
        alone = (0.75 * math.sqrt(3) * (others + self.k) / smallest**2).amax(1)
        mixed = 3 * math.sqrt(self.n - 1) / smallest.amin(1)
        return torch.where(smallest.amin(1) > 0, (alone + mixed) / math.pi, math.inf)

    def smooth(self, weights, data):
        """F is twice differentiable where no student vanishes."""
        return torch.linalg.vector_norm(weights["w"], dim=2).amin(1) > VANISHED

    def enclosure(self):
        """Known where there are as many inputs as teachers, and no constraint."""
        from .._enclosure import ReluEnclosure

        if self.d > self.k or self.norms == "unit":
            return None
        return ReluEnclosure(self.n, self.k)

    def canonical(self, weights):
        """Students beside the teachers along or against which they point most, from the best
        match to the worst opposition; students without a teacher, and teachers without a
        student, follow by the falling norm of their row or column. The other coordinates are
        rotated so that their columns are zero above the diagonal, and not negative on it."""
        return {"w": torch.stack([_canonical(w, self.k) for w in weights["w"]])}

    def invariants(self, weights):
        """Sorted entries, and sorted norms and sums of rows and columns; of the coordinates
        beyond the teachers', the sorted products of the rows."""
        w, beyond = weights["w"][..., : self.k], weights["w"][..., self.k :]
        parts = [w.flatten(1)]
        parts += [f(w, dim=dim) for dim in (1, 2) for f in (torch.linalg.vector_norm, torch.sum)]
        if self.d > self.k:
            parts.append((beyond @ beyond.mT).flatten(1))
        return torch.cat([part.sort(dim=1).values for part in parts], dim=1)


VANISHED = 1e-6
"""Norm below which a student counts as zero, where F has a kink."""


def _gradient(xp, w, k):
    """The hot loop, in NumPy or torch (xp): in place, with Σⱼ(π−θ)wⱼ split into πΣwⱼ − Σθwⱼ,
    and sums over short rows as products, which are several times as fast."""
    norm = xp.sqrt(xp.linalg.vecdot(w, w))[..., None]
    unit = w / norm
    among = unit @ unit.mT
    xp.clip(among, -1, 1, out=among)
    n = w.shape[1]
    among.reshape(len(w), n * n)[:, :: n + 1] = 1
    across = xp.clip(unit[..., :k], -1, 1)
    angle, angle_to_teacher = xp.arccos(among), xp.arccos(across)
    radial = _sines_of(xp, among) @ norm
    sines = _sines_of(xp, across)
    radial -= xp.linalg.vecdot(sines, xp.ones_like(sines[:1, :1]))[..., None]
    gradient = radial * unit
    gradient -= angle @ w
    gradient[..., :k] += angle_to_teacher
    total = w.sum(1)[:, None]
    total[..., :k] -= 1
    total *= math.pi
    gradient += total
    gradient *= 1 / (2 * math.pi)
    return gradient


def _sines_of(xp, cosine):
    """√(1 − cos²), in the memory of the cosines."""
    cosine *= cosine
    xp.subtract(1, cosine, out=cosine)
    return xp.sqrt(cosine, out=cosine)


def _polar(w):
    """Norms (run, n, 1) and directions (run, n, k)."""
    norm = torch.linalg.vector_norm(w, dim=2, keepdim=True)
    return norm, w / norm


def _cosines(unit):
    """Cosines among students, (run, n, n), with exact ones on the diagonal."""
    cosine = unit @ unit.mT
    if cosine.requires_grad:
        cosine = cosine.clamp(-1, 1)
        eye = torch.eye(unit.shape[1], dtype=torch.bool, device=unit.device)
        return torch.where(eye, 1.0, cosine)
    cosine.clamp_(-1, 1).diagonal(dim1=1, dim2=2).fill_(1)
    return cosine


def _kernel(cosine):
    """h(θ) = (π−θ) cos θ + sin θ from cos θ."""
    inside = cosine.clamp(-1, 1)
    if not inside.requires_grad:
        rest = _arccos(inside).neg_().add_(math.pi).mul_(inside)
        return rest.add_(_sines(inside))
    # the slope of h is π−θ, which automatic differentiation misses at cos θ = ±1
    flat = inside.abs() == 1
    safe = torch.where(flat, 0.0, inside)
    curved = (math.pi - torch.arccos(safe)) * safe + torch.sqrt(1 - safe * safe)
    return torch.where(flat, math.pi / 2 * (inside + inside.abs()), curved)


def _arccos(cosine):
    """Angles of cosines that need no gradient; by NumPy on a CPU, three times as fast."""
    if cosine.device.type == "cpu":
        return torch.from_numpy(np.arccos(cosine.numpy()))
    return torch.arccos(cosine)


def _sines(cosine):
    """√(1 − cos²), in the memory of the cosines; by NumPy on a CPU."""
    if cosine.device.type == "cpu":
        values = cosine.numpy()
        np.multiply(values, values, out=values)
        np.subtract(1, values, out=values)
        np.sqrt(values, out=values)
        return cosine
    return cosine.mul_(cosine).neg_().add_(1).sqrt_()


def _canonical(w, k):
    from scipy.optimize import linear_sum_assignment

    w, beyond = w[:, :k], w[:, k:]
    students, teachers = linear_sum_assignment(-w.abs().cpu().numpy())
    matched = w[students, teachers]
    order = torch.argsort(matched, descending=True).cpu().numpy()
    students, teachers = students[order], teachers[order]
    left = [i for i in range(w.shape[0]) if i not in students]
    left.sort(key=lambda i: -float(w[i].norm()))
    unmatched = [j for j in range(w.shape[1]) if j not in teachers]
    unmatched.sort(key=lambda j: -float(w[:, j].norm()))
    rows = [*students, *left]
    return torch.cat([w[rows][:, [*teachers, *unmatched]], _triangular(beyond[rows])], dim=1)


def _triangular(rows):
    """(n, d) rows, rotated: zero above the diagonal, not negative on it."""
    turned = rows @ torch.linalg.qr(rows.mT, mode="complete").Q
    signs = torch.ones(rows.shape[1], dtype=rows.dtype, device=rows.device)
    signs[: len(rows)] = torch.where(turned.diagonal() < 0, -1.0, 1.0)
    return (turned * signs).tril()


@nnflow.hookimpl
def nnflow_register(register):
    register("relu_teacher_student", ReluTeacherStudent)
