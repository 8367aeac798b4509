"""Huber's loss: squared error with linear tails."""

from __future__ import annotations

from pydantic import PositiveFloat

import nnflow
from nnflow import Arithmetic, LaneLoss, Loss, by_output, choose, torch

from ._targets import deviations, sizes


def _slope(output, target, delta):
    r = output - target
    return choose(r > delta, delta, choose(r < -delta, -delta, r))


SLOPE = by_output(Arithmetic(_slope))


class Huber(Loss):
    """ℓ(o, t) = Σⱼ h(oⱼ − tⱼ),  h(r) = ½r² for |r| ≤ δ, else δ|r| − ½δ².

    Huber, Annals of Mathematical Statistics 35 (1964) 73. It is convex and differentiable, with
    a slope of at most δ; the second derivative jumps at |r| = δ. Targets as for `squared`.
    """

    delta: PositiveFloat = 1.0
    """Deviation δ at which the tails begin."""

    @property
    def lanes(self):
        return LaneLoss(SLOPE, parameter=self.delta)

    def __call__(self, outputs, targets):
        error = deviations(outputs, targets)
        size = sizes(error)
        tail = self.delta * (size - self.delta / 2)
        return torch.where(size <= self.delta, error.square() / 2, tail).sum(dim=-1)

    def slope(self, outputs, targets):
        return deviations(outputs, targets).clamp(-self.delta, self.delta)

    def curvature(self, outputs, targets):
        error = deviations(outputs, targets)
        return torch.diag_embed((error.abs() <= self.delta).to(error.dtype))

    def smooth(self, outputs, targets):
        return (deviations(outputs, targets).abs() != self.delta).all(dim=-1)

    def kinks(self, outputs, targets):
        return outputs[..., :0], outputs[..., :0]  # its slope has no jump


@nnflow.hookimpl
def nnflow_register(register):
    register("huber", Huber)
