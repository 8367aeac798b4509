"""Absolute error, convex and not differentiable."""

from __future__ import annotations

import nnflow
from nnflow import Arithmetic, LaneLoss, Loss, by_output, choose, torch

from ._targets import deviations, sizes


def _slope(output, target, parameter):
    r = output - target
    return choose(r > 0.0, 1.0, choose(r < 0.0, -1.0, r))


class Absolute(Loss):
    """ℓ(o, t) = ‖o − t‖₁ = Σⱼ |oⱼ − tⱼ|.

    It is convex and Lipschitz, with a kink wherever an output meets its target; the gradient
    there takes the subgradient 0. Targets as for `squared`.
    """

    lanes = LaneLoss(by_output(Arithmetic(_slope)))

    def __call__(self, outputs, targets):
        return sizes(deviations(outputs, targets)).sum(dim=-1)

    def slope(self, outputs, targets):
        return deviations(outputs, targets).sign()

    def smooth(self, outputs, targets):
        return (deviations(outputs, targets) != 0).all(dim=-1)

    def kinks(self, outputs, targets):
        error = deviations(outputs, targets)
        return error, torch.full_like(error, 2.0)


@nnflow.hookimpl
def nnflow_register(register):
    register("absolute", Absolute)
