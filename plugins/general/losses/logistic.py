"""Logistic loss of labels ±1."""

from __future__ import annotations

import nnflow
from nnflow import Loss, torch

from ._targets import as_outputs


class Logistic(Loss):
    """ℓ(o, t) = Σⱼ log(1 + exp(−tⱼoⱼ)) for labels tⱼ = ±1, one for each output.

    It is convex and analytic, with a slope of at most |t|. On data that a network separates its
    infimum is 0 and not attained. Classes (integers) stand for a label +1 at their own output and
    −1 at the others; real targets that are no signs weigh the outputs.
    """

    def __call__(self, outputs, targets):
        labels = as_outputs(outputs, targets)
        if not targets.dtype.is_floating_point:
            labels = 2 * labels - 1
        # above the default threshold of 20 softplus would drop exp(−20) = 2e-9
        return torch.nn.functional.softplus(-labels * outputs, threshold=700).sum(dim=-1)


@nnflow.hookimpl
def nnflow_register(register):
    register("logistic", Logistic)
