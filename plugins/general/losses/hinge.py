"""Hinge loss of labels ±1."""

from __future__ import annotations

import nnflow
from nnflow import Loss, torch

from ._targets import signs, sizes


class Hinge(Loss):
    """ℓ(o, t) = Σⱼ max(0, 1 − tⱼoⱼ) for labels tⱼ = ±1, one for each output.

    It is convex and piecewise linear, with a kink where tⱼoⱼ = 1; the gradient there takes half of
    the slope. Classes (integers) stand for a label +1 at their own output and −1 at the others;
    real targets that are no signs weigh the outputs.
    """

    def __call__(self, outputs, targets):
        missing = _missing(outputs, targets)
        return ((missing + sizes(missing)) / 2).sum(dim=-1)

    def smooth(self, outputs, targets):
        return (_missing(outputs, targets) != 0).all(dim=-1)

    def kinks(self, outputs, targets):
        missing = _missing(outputs, targets)
        return missing, torch.ones_like(missing)


def _missing(outputs, targets):
    """1 − to, (…, sample, output)."""
    return 1 - signs(outputs, targets) * outputs


@nnflow.hookimpl
def nnflow_register(register):
    register("hinge", Hinge)
