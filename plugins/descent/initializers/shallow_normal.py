"""Normal weights, with an output bias of 0."""

from __future__ import annotations

import math

import numpy as np
from pydantic import NonNegativeFloat

import nnflow
from nnflow import Initializer


class ShallowNormal(Initializer):
    """All weights and biases ~ N(0, variance), but the last vector, the output bias, which is 0."""

    variance: NonNegativeFloat = 1.0
    """Variance of an entry."""

    varies = ("variance",)

    def draw(self, shapes, streams):
        drawn = {
            name: (np.sqrt(self.variance) * streams.normal(math.prod(shape), draw=i)).reshape(
                -1, *shape
            )
            for i, (name, shape) in enumerate(shapes.items())
        }
        vectors = [name for name, shape in shapes.items() if len(shape) == 1]
        if vectors:
            drawn[vectors[-1]] = np.zeros_like(drawn[vectors[-1]])
        return drawn


@nnflow.hookimpl
def nnflow_register(register):
    register("shallow_normal", ShallowNormal)
