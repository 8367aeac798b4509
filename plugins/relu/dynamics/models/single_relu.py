"""One ReLU that learns one ReLU: the population loss."""

from __future__ import annotations

import math

from pydantic import PositiveInt

import nnflow
from nnflow import Model, torch


class SingleRelu(Model):
    """L(w) = ½ E_{x∼N(0,I)} (σ(w·x) − σ(w*·x))² with the teacher w* = e₁.

    In closed form L = ¼‖w‖² + ¼ − ‖w‖h(θ)/2π, with h(θ) = (π−θ)cos θ + sin θ and θ the angle
    between w and w* (Tian, arXiv:1703.00560, Eqs. 2 and 6, for one sample). No generality is
    lost: the law of x is isotropic, and L scales with ‖w*‖². The only critical point is w*;
    the gradient jumps at w = 0.
    """

    inputs: PositiveInt
    """Input dimension d."""

    def shapes(self):
        return {"w": (self.inputs,)}

    def dimensions(self):
        return {"w": ("input",)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        norm, _, angle = _polar(weights["w"])
        kernel = (math.pi - angle) * torch.cos(angle) + torch.sin(angle)
        return (norm * norm + 1) / 4 - norm * kernel / (2 * math.pi)

    def gradient(self, weights, data):
        """∇L = ½(w − w*) + (θw* − sin θ w/‖w‖)/2π (Tian, Eq. 6)."""
        w = weights["w"]
        norm, across, angle = _polar(w)
        gradient = (0.5 - across / (2 * math.pi * norm * norm))[:, None] * w
        gradient[:, 0] += angle / (2 * math.pi) - 0.5
        return {"w": gradient}

    def hessian(self, weights, data):
        """½I − sin θ/(2π‖w‖) (I − w̄w̄ᵀ + t̂t̂ᵀ), t̂ the unit tangent of w* seen from w."""
        w = weights["w"]
        norm, across, _ = _polar(w)
        unit = w / norm[:, None]
        sine = across / norm
        eye = torch.eye(self.inputs, dtype=w.dtype, device=w.device)
        tangent = eye[0] - unit[:, :1] * unit
        tangent = tangent / torch.where(sine > 0, sine, 1)[:, None]
        turned = tangent[:, :, None] * tangent[:, None] - unit[:, :, None] * unit[:, None]
        return eye / 2 - (sine / (2 * math.pi * norm))[:, None, None] * (eye + turned)

    def smooth(self, weights, data):
        """L is twice differentiable where w does not vanish."""
        return torch.linalg.vector_norm(weights["w"], dim=1) > VANISHED

    def observables(self, weights, data):
        """‖w‖, θ, and V = ½‖w − w*‖², the function of Theorem 5."""
        w = weights["w"]
        norm, across, angle = _polar(w)
        distance = (w[:, 0] - 1) ** 2 + across**2
        return {"norm": norm, "angle": angle, "lyapunov": distance / 2}


VANISHED = 1e-6
"""Norm below which the weight counts as zero, where L has a kink."""


def _polar(w):
    """‖w‖, its part across w*, and its angle to w*, each (run,); the angle without the loss of
    digits that arccos has near 0 and π."""
    across = torch.linalg.vector_norm(w[:, 1:], dim=1)
    return torch.linalg.vector_norm(w, dim=1), across, torch.atan2(across, w[:, 0])


@nnflow.hookimpl
def nnflow_register(register):
    register("single_relu", SingleRelu)
