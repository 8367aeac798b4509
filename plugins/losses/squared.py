"""Squared error."""

from __future__ import annotations

import nnflow
from nnflow import Loss, torch


class Squared(Loss):
    """ℓ(o, t) = ½‖o − t‖².

    Integer targets (…, sample) are classes and stand for unit vectors; real ones (…, sample)
    belong to networks with one output.
    """

    def __call__(self, outputs, targets):
        if not targets.dtype.is_floating_point:
            targets = torch.nn.functional.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
        elif targets.shape[-1] != outputs.shape[-1]:
            targets = targets.unsqueeze(-1)
        return (outputs - targets).square().sum(dim=-1) / 2


@nnflow.hookimpl
def nnflow_register_losses(register):
    register("squared", Squared)
