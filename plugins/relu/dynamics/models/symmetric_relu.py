"""Two-layer ReLU networks whose neurons are cyclic shifts of one another: two weights for any K."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

import nnflow
from nnflow import Model, torch

from ..._kernel import arc_cosine


class SymmetricRelu(Model):
    """L(w) = 1/K · ½ E_{x∼N(0,I)} (Σⱼ σ(wⱼ·x) − Σⱼ σ(eⱼ·x))² on wⱼ = x eⱼ + y Σ_{i≠j} eᵢ.

    The weights w = (x, √(K−1) y) are the coordinates of one neuron in the orthonormal frame
    eⱼ, Σ_{i≠j} eᵢ/√(K−1), and L is the loss for each neuron. So ∇L is the gradient of the whole
    loss with respect to one neuron, in that frame: gradient descent here is that of the whole
    K × K network at the same rate (Tian, arXiv:1703.00560, Eq. 18 and Theorem 7), while a
    gradient with respect to (x, y) would be another flow. Written with angles that keep their
    digits where neurons coincide.
    """

    k: Annotated[int, Field(ge=2)]
    """Neurons K of student and teacher."""

    def shapes(self):
        return {"w": (2,)}

    def dimensions(self):
        return {"w": ("direction",)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        k = self.k
        norm, own, other, apart = self._angles(*self._places(weights["w"]))
        # h(φ) = π cos φ + (sin φ − φ cos φ) for φ ≥ 0, with a term that is even in φ twice over
        curl = torch.sin(apart) - apart * torch.cos(apart)
        among = math.pi * torch.cos(apart) + torch.sign(apart.detach()) * curl
        across, across_others = (
            arc_cosine(angle, torch.cos(angle), torch.sin(angle)) for angle in (own, other)
        )
        square = norm * norm * (math.pi + (k - 1) * among) + math.pi + k - 1
        return square / (4 * math.pi) - norm * (across + (k - 1) * across_others) / (2 * math.pi)

    def gradient(self, weights, data):
        """∇L = −(dx/dt, √(K−1) dy/dt)."""
        along, around = self.velocity(*self._places(weights["w"]))
        return {"w": -torch.stack([along, math.sqrt(self.k - 1) * around], dim=1)}

    def velocity(self, x, y):
        """(dx/dt, dy/dt) of the gradient flow at x and y, each (run,):

        −2π dx/dt = T₁ + φ(x−1) − xT₃ + θ,  −2π dy/dt = T₁ + φy − yT₃ + φ* − φ, with
        T₁ = (π−φ)(x−1+(K−1)y) and T₃ = (K−1)(sin φ*/‖w‖ − sin φ) + sin θ/‖w‖ (Tian, supplement
        to Theorem 7), θ, φ* and φ the angles of a neuron to its own teacher, to another one and
        to another neuron. Both are bit-identical where x = y.
        """
        norm, own, other, apart = self._angles(x, y)
        apart = apart.abs()
        common = (math.pi - apart) * (x - 1 + (self.k - 1) * y)
        pull = torch.sin(own) / norm
        pull = pull + (self.k - 1) * (torch.sin(other) / norm - torch.sin(apart))
        along = common + apart * (x - 1) - x * pull + own
        around = common + apart * y - y * pull + (other - apart)
        return along / (-2 * math.pi), around / (-2 * math.pi)

    def smooth(self, weights, data):
        """L is twice differentiable where the neurons do not vanish."""
        return torch.linalg.vector_norm(weights["w"], dim=1) > VANISHED

    def observables(self, weights, data):
        """x and y, and the error (x−1)² + (K−1)y² of one neuron."""
        x, y = self._places(weights["w"])
        return {"x": x, "y": y, "error": (x - 1) ** 2 + (self.k - 1) * y**2}

    def _places(self, w):
        """x and y, each (run,)."""
        return w[:, 0], w[:, 1] / math.sqrt(self.k - 1)

    def _angles(self, x, y):
        """‖wⱼ‖, and the angles θ, φ*, φ, the last with the sign of x − y; each (run,).

        At x = y the first two are bit-identical and the last is 0."""
        rest = (self.k - 2) * y**2
        norm = torch.sqrt(x**2 + y**2 + rest)
        own = torch.atan2(torch.sqrt(y**2 + rest), x)
        other = torch.atan2(torch.sqrt(x**2 + rest), y)
        half = torch.clamp((x - y) / (math.sqrt(2) * norm), -1, 1)
        return norm, own, other, 2 * torch.arcsin(half)


VANISHED = 1e-6
"""Norm below which the neurons count as zero, where L has a kink."""


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_relu", SymmetricRelu)
