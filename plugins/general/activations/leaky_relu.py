"""The leaky rectified linear unit."""

from __future__ import annotations

import nnflow
from nnflow import Activation, torch


class LeakyRelu(Activation):
    """σ(t) = max(t, 0) + κ min(t, 0), with a kink at 0 (Maas, Hannun & Ng 2013); κ = −1 is |t|."""

    smooth = False

    slope: float = 0.1
    """κ."""

    @property
    def jump(self) -> float:
        """What σ' grows by at 0."""
        return 1 - self.slope

    def __call__(self, values):
        return torch.where(values > 0, values, self.slope * values)

    def derivative(self, values, activated):
        return torch.where(values > 0, 1.0, self.slope).to(values.dtype)


@nnflow.hookimpl
def nnflow_register(register):
    register("leaky_relu", LeakyRelu)
