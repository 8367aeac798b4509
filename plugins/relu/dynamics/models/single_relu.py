"""One ReLU that learns one ReLU: the population loss."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveInt

import nnflow
from nnflow import torch

from ..._two_layer import TwoLayerRelu


class SingleRelu(TwoLayerRelu):
    """L(w) = ½ E_{x∼N(0,I)} (σ(w·x) − σ(w*·x))² with the teacher w* = e₁.

    relu_teacher_student with k = n = 1: L = ¼‖w‖² + ¼ − ‖w‖h(θ)/2π and ∇L = ½(w − w*) + (θw* −
    sin θ w/‖w‖)/2π, with θ the angle between w and w* (Tian, arXiv:1703.00560, Eqs. 2 and 6, for
    one sample). No generality is lost: the distribution of x is isotropic, and L scales with
    ‖w*‖². The only critical point is w*; the gradient jumps at w = 0.
    """

    inputs: PositiveInt
    """Input dimension d."""

    k: ClassVar[int] = 1
    n: ClassVar[int] = 1
    top: ClassVar[None] = None

    @property
    def d(self):
        return self.inputs

    def observables(self, weights, data):
        """‖w‖, θ, and V = ½‖w − w*‖², the function of Theorem 5; θ with the digits that arccos
        loses near 0 and π."""
        w = weights["w"][:, 0]
        across = torch.linalg.vector_norm(w[:, 1:], dim=1)
        return {
            "norm": torch.linalg.vector_norm(w, dim=1),
            "angle": torch.atan2(across, w[:, 0]),
            "lyapunov": ((w[:, 0] - 1) ** 2 + across**2) / 2,
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("single_relu", SingleRelu)
