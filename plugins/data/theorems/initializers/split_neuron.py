"""Starts beside the split neuron."""

from __future__ import annotations

import math

from pydantic import NonNegativeFloat

import nnflow
from nnflow import Initializer


class SplitNeuron(Initializer):
    """All weights of the first layer 1 and of the second 1/m, with normal noise added: the bad
    minimum of `split_layer`, and what lies around it."""

    noise: NonNegativeFloat = 0.02
    """Standard deviation of the noise of each weight."""

    varies = ("noise",)

    def draw(self, shapes, streams):
        return {
            name: (
                1 / shape[1] + self.noise * streams.normal(math.prod(shape), draw=index)
            ).reshape(-1, *shape)
            for index, (name, shape) in enumerate(shapes.items())
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("split_neuron", SplitNeuron)
