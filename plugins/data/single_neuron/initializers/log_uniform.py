"""Positive weights of all sizes."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveFloat, model_validator

import nnflow
from nnflow import Initializer


class LogUniform(Initializer):
    """Entries exp(u), u uniform between the logarithms of two numbers."""

    low: PositiveFloat = 0.001
    """Lowest entry."""
    high: PositiveFloat = 10.0
    """Highest entry."""

    @model_validator(mode="after")
    def _in_order(self):
        if self.low >= self.high:
            raise ValueError("low must be below high")
        return self

    def draw(self, shapes, streams):
        span = np.log(self.high / self.low)
        return {
            name: self.low
            * np.exp(span * streams.uniform(math.prod(shape), draw=index)).reshape(-1, *shape)
            for index, (name, shape) in enumerate(shapes.items())
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("log_uniform", LogUniform)
