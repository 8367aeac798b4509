"""The rectified linear unit."""

from __future__ import annotations

import nnflow
from nnflow import Activation, Arithmetic, LaneActivation, choose, torch


def _relu(t, parameter):
    return choose(t < 0.0, 0.0, t)


def _relu_slope(t, activated, parameter):
    return choose(t > 0.0, 1.0, 0.0)


class Relu(Activation):
    """σ(t) = max(t, 0), with a kink at 0."""

    smooth = False
    jump = 1.0
    lanes = LaneActivation(Arithmetic(_relu), Arithmetic(_relu_slope))

    def __call__(self, values):
        return torch.relu(values)

    def derivative(self, values, activated):
        return torch.sign(activated)  # of max(t, 0): a third of the time of a comparison


@nnflow.hookimpl
def nnflow_register(register):
    register("relu", Relu)
