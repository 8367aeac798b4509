"""The logarithm of the hyperbolic cosine of the error."""

from __future__ import annotations

import math

import nnflow
from nnflow import Arithmetic, LaneLoss, Loss, by_output, hyperbolic_tangent, torch

from ._targets import deviations


def _slope(output, target, parameter):
    return hyperbolic_tangent(output - target)


class LogCosh(Loss):
    """ℓ(o, t) = Σⱼ log cosh(oⱼ − tⱼ).

    It is convex and analytic: ½r² for small r, |r| − log 2 for large ones. Targets as for
    `squared`.
    """

    lanes = LaneLoss(by_output(Arithmetic(_slope)))

    def __call__(self, outputs, targets):
        error = deviations(outputs, targets)
        # log cosh r = |r| + log(1 + exp(−2|r|)) − log 2 overflows nowhere; unlike |r|, this size
        # has a slope at 0, which keeps the second derivative right there
        size = torch.where(error < 0, -error, error)
        return (size + torch.log1p(torch.exp(-2 * size)) - math.log(2)).sum(dim=-1)

    def slope(self, outputs, targets):
        return torch.tanh(deviations(outputs, targets))

    def curvature(self, outputs, targets):
        return torch.diag_embed(1 / torch.cosh(deviations(outputs, targets)).square())


@nnflow.hookimpl
def nnflow_register(register):
    register("log_cosh", LogCosh)
