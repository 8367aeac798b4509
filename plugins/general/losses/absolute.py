"""Absolute error, convex and not differentiable."""

from __future__ import annotations

import nnflow
from nnflow import Loss, torch

from ._targets import deviations, sizes


class Absolute(Loss):
    """ℓ(o, t) = ‖o − t‖₁ = Σⱼ |oⱼ − tⱼ|.

    It is convex and Lipschitz, with a kink wherever an output meets its target; the gradient
    there takes the subgradient 0. Targets as for `squared`.
    """

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
