"""Squared error."""

from __future__ import annotations

import nnflow
from nnflow import Arithmetic, LaneLoss, Loss, by_output, torch

from ._targets import deviations


def _slope(output, target, parameter):
    return output - target


class Squared(Loss):
    """ℓ(o, t) = ½‖o − t‖².

    Integer targets (…, sample) are classes and stand for unit vectors; real ones (…, sample)
    belong to networks with one output. It is −log p of a normal law of variance 1 around o.
    """

    likelihood = True
    lanes = LaneLoss(by_output(Arithmetic(_slope)))

    def __call__(self, outputs, targets):
        return deviations(outputs, targets).square().sum(dim=-1) / 2

    def slope(self, outputs, targets):
        return deviations(outputs, targets)

    def curvature(self, outputs, targets):
        return torch.diag_embed(torch.ones_like(outputs))


@nnflow.hookimpl
def nnflow_register(register):
    register("squared", Squared)
