"""The Cauchy loss: errors count less and less the larger they are."""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveFloat

import nnflow
from nnflow import Arithmetic, LaneLoss, Loss, by_output, torch

from ._targets import deviations


def _slope(output, target, scale):
    r = output - target
    ratio = r / scale
    return r / (1.0 + ratio * ratio)


SLOPE = by_output(Arithmetic(_slope))


class Cauchy(Loss):
    """ℓ(o, t) = Σⱼ ½s² log(1 + (oⱼ − tⱼ)²/s²).

    It is analytic, ½r² for small r, and not convex: the curvature is negative for |r| > s, so that
    contradicting targets have minima of their own. Targets as for `squared`.
    """

    convex: ClassVar[bool] = False

    scale: PositiveFloat = 1.0
    """Deviation s from which the curvature is negative."""

    @property
    def lanes(self):
        return LaneLoss(SLOPE, parameter=self.scale)

    def __call__(self, outputs, targets):
        ratio = deviations(outputs, targets) / self.scale
        return (self.scale**2 / 2) * torch.log1p(ratio.square()).sum(dim=-1)

    def slope(self, outputs, targets):
        error = deviations(outputs, targets)
        return error / (1 + (error / self.scale).square())

    def curvature(self, outputs, targets):
        ratio = (deviations(outputs, targets) / self.scale).square()
        return torch.diag_embed((1 - ratio) / (1 + ratio).square())


@nnflow.hookimpl
def nnflow_register(register):
    register("cauchy", Cauchy)
