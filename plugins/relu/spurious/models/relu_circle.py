"""Two ReLU neurons of unit norm in the plane of their two teachers."""

from __future__ import annotations

import math

import nnflow
from nnflow import Model, torch

TEACHERS = (0.0, math.pi / 2)
"""Angles of the teachers."""


class ReluCircle(Model):
    """L(α, β) = ½E(Σᵢ[wᵢᵀx]₊ − Σⱼ[vⱼᵀx]₊)² for Gaussian x in the plane, with students at the angles
    α and β on the unit circle and orthonormal teachers at 0 and π/2.

    Up to a constant it is κ(α − β) − Σᵢⱼ κ(angle between wᵢ and vⱼ), with κ(t) = E[uᵀx]₊[vᵀx]₊ =
    (|sin t| + δ(t) cos t)/2π for unit vectors at the angle t, δ(t) = |π − t| for 0 ≤ t ≤ 2π
    (Cho & Saul 2009). κ′ = −δ sin t/2π, and κ″ = (|sin t| − δ cos t)/2π is continuous: L is twice
    continuously differentiable everywhere. Wu, Luo & Lee (ICLR 2018 workshop) prove that its only
    local minima are the two global ones.
    """

    def shapes(self):
        return {"angle": (2,)}

    def dimensions(self):
        return {"angle": ("student",)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        first, second = weights["angle"].unbind(1)
        aligned = sum(_kappa(angle - teacher) for angle in (first, second) for teacher in TEACHERS)
        norms = 2 * 0.5 + 1 / (2 * math.pi)  # 2κ(0) + κ(π/2), of students and of teachers
        return norms + _kappa(first - second) - aligned

    def gradient(self, weights, data):
        first, second = weights["angle"].unbind(1)
        mutual = _slope(first - second)
        rows = [
            sign * mutual - sum(_slope(angle - teacher) for teacher in TEACHERS)
            for sign, angle in ((1, first), (-1, second))
        ]
        return {"angle": torch.stack(rows, dim=1)}

    def hessian(self, weights, data):
        first, second = weights["angle"].unbind(1)
        mutual = _curvature(first - second)
        own = [
            mutual - sum(_curvature(angle - teacher) for teacher in TEACHERS)
            for angle in (first, second)
        ]
        return torch.stack([own[0], -mutual, -mutual, own[1]], dim=1).unflatten(1, (2, 2))

    def invariants(self, weights):
        """Symmetric functions of the students' unit vectors, which neither their order nor turns by
        2π change."""
        cosine, sine = torch.cos(weights["angle"]), torch.sin(weights["angle"])
        mixed = cosine[:, 0] * sine[:, 1] + cosine[:, 1] * sine[:, 0]
        return torch.stack([cosine.sum(1), sine.sum(1), cosine.prod(1), sine.prod(1), mixed], dim=1)

    def enclosure(self):
        from ._relu_circle_enclosure import ReluCircleEnclosure

        return ReluCircleEnclosure()


def _delta(angle):
    """δ, with period 2π."""
    return (math.pi - torch.remainder(angle, 2 * math.pi)).abs()


def _kappa(angle):
    return (torch.sin(angle).abs() + _delta(angle) * torch.cos(angle)) / (2 * math.pi)


def _slope(angle):
    return -_delta(angle) * torch.sin(angle) / (2 * math.pi)


def _curvature(angle):
    return (torch.sin(angle).abs() - _delta(angle) * torch.cos(angle)) / (2 * math.pi)


@nnflow.hookimpl
def nnflow_register(register):
    register("relu_circle", ReluCircle)
