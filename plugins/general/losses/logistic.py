"""Logistic loss of labels ±1."""

from __future__ import annotations

import nnflow
from nnflow import Arithmetic, LaneLoss, Loss, by_output, sigmoid, torch

from ._targets import signs


def _slope(output, label, parameter):
    return -label * sigmoid(-label * output)


class Logistic(Loss):
    """ℓ(o, t) = Σⱼ log(1 + exp(−tⱼoⱼ)) for labels tⱼ = ±1, one for each output.

    It is convex and analytic, with a slope of at most |t|. On data that a network separates its
    infimum is 0 and not attained. Classes (integers) stand for a label +1 at their own output and
    −1 at the others; real targets that are no signs weigh the outputs.
    """

    lanes = LaneLoss(by_output(Arithmetic(_slope)), classes=(-1.0, 1.0))

    def __call__(self, outputs, targets):
        labels = signs(outputs, targets)
        # above the default threshold of 20 softplus would drop exp(−20) = 2e-9
        return torch.nn.functional.softplus(-labels * outputs, threshold=700).sum(dim=-1)

    def slope(self, outputs, targets):
        labels = signs(outputs, targets)
        return -labels * torch.sigmoid(-labels * outputs)

    def curvature(self, outputs, targets):
        labels = signs(outputs, targets)
        chance = torch.sigmoid(-labels * outputs)
        return torch.diag_embed(labels.square() * chance * (1 - chance))


@nnflow.hookimpl
def nnflow_register(register):
    register("logistic", Logistic)
