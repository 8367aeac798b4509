"""Independent normal weights."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat

import nnflow
from nnflow import Initializer


class Normal(Initializer):
    """Entries ~ N(0, variance/per).

    `variance: 1, per: fan_in` is LeCun's rule, `2, fan_in` He's, `1, fan_average` Glorot's.
    """

    variance: NonNegativeFloat = 1.0
    """Variance of an entry, times what `per` says."""
    per: Literal["one", "fan_in", "fan_out", "fan_average"] = "fan_in"
    """What the variance is divided by: 1, the number of inputs of a matrix, of outputs, or
    their mean; of a convolution's kernel (outputs, inputs, …) each times the size of its window. A
    vector has fans of 1."""
    bias_variance: NonNegativeFloat | None = 0.0
    """Variance of vectors beside matrices (biases); null: they follow the rule, with fans
    of 1. In a model without matrices vectors always follow it."""

    varies = ("variance", "bias_variance")

    def draw(self, shapes, streams):
        matrices = any(len(shape) >= 2 for shape in shapes.values())
        return {
            name: (
                self._deviation(shape, matrices) * streams.normal(math.prod(shape), draw=i)
            ).reshape(-1, *shape)
            for i, (name, shape) in enumerate(shapes.items())
        }

    def _deviation(self, shape: tuple[int, ...], matrices: bool) -> float | np.ndarray:
        if len(shape) < 2 and matrices and self.bias_variance is not None:
            return np.sqrt(self.bias_variance)
        inputs, outputs = _fans(shape)
        fans = {
            "one": 1,
            "fan_in": inputs,
            "fan_out": outputs,
            "fan_average": np.mean([inputs, outputs]),
        }
        return np.sqrt(self.variance / fans[self.per])


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Inputs and outputs of one neuron; for a convolution's kernel (outputs, inputs, …) times the
    size of its window (Glorot & Bengio 2010; He et al. 2015)."""
    if len(shape) < 2:
        return 1, 1
    window = math.prod(shape[2:])
    return shape[1] * window, shape[0] * window


@nnflow.hookimpl
def nnflow_register(register):
    register("normal", Normal)
