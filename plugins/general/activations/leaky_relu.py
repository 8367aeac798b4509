"""The leaky rectified linear unit."""

from __future__ import annotations

import nnflow
from nnflow import Activation, Arithmetic, LaneActivation, choose, torch


def _leaky_relu(t, slope):
    return choose(t > 0.0, t, slope * t)


def _leaky_relu_slope(t, activated, slope):
    return choose(t > 0.0, 1.0, slope)


VALUE, SLOPE = Arithmetic(_leaky_relu), Arithmetic(_leaky_relu_slope)


class LeakyRelu(Activation):
    """σ(t) = max(t, 0) + κ min(t, 0), with a kink at 0 (Maas, Hannun & Ng 2013); κ = −1 is |t|."""

    smooth = False

    slope: float = 0.1
    """κ."""

    @property
    def jump(self) -> float:
        """What σ' grows by at 0."""
        return 1 - self.slope

    @property
    def lanes(self):
        return LaneActivation(VALUE, SLOPE, self.slope)

    def __call__(self, values):
        return torch.where(values > 0, values, self.slope * values)

    def derivative(self, values, activated):
        # of two numbers alone torch.where would make float32
        return torch.where(values > 0, torch.ones_like(values), self.slope)


@nnflow.hookimpl
def nnflow_register(register):
    register("leaky_relu", LeakyRelu)
