"""The hard hyperbolic tangent."""

from __future__ import annotations

import nnflow
from nnflow import Activation


class HardTanh(Activation):
    """σ(t) = min(max(t, −1), 1), with kinks at ±1."""

    smooth = False

    def __call__(self, values):
        return values.clamp(-1, 1)


@nnflow.hookimpl
def nnflow_register(register):
    register("hard_tanh", HardTanh)
