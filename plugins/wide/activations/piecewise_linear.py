"""Piecewise linear activations beside the rectified linear unit."""

from __future__ import annotations

import nnflow
from nnflow import Activation, torch


class LeakyRelu(Activation):
    """σ(t) = max(t, 0) + κ min(t, 0), with a kink at 0; κ = −1 is |t|."""

    smooth = False

    slope: float = 0.1
    """κ."""

    @property
    def jump(self) -> float:
        """What σ' grows by at 0."""
        return 1 - self.slope

    def __call__(self, values):
        return torch.where(values > 0, values, self.slope * values)


class HardTanh(Activation):
    """σ(t) = min(max(t, −1), 1), with kinks at ±1."""

    smooth = False

    def __call__(self, values):
        return values.clamp(-1, 1)


@nnflow.hookimpl
def nnflow_register(register):
    register("leaky_relu", LeakyRelu)
    register("hard_tanh", HardTanh)
