"""Weights uniform between two numbers."""

from __future__ import annotations

import math

from pydantic import FiniteFloat, model_validator

import nnflow
from nnflow import Initializer


class UniformBox(Initializer):
    """Independent entries, uniform between `lower` and `upper`."""

    lower: FiniteFloat = 0.0
    """The lower end."""
    upper: FiniteFloat = 1.0
    """The upper end."""

    varies = ("lower", "upper")

    @model_validator(mode="after")
    def _ordered(self):
        if not self.lower < self.upper:
            raise ValueError("upper: must be above lower")
        return self

    def draw(self, shapes, streams):
        return {
            name: (
                self.lower
                + (self.upper - self.lower) * streams.uniform(math.prod(shape), draw=number)
            ).reshape(-1, *shape)
            for number, (name, shape) in enumerate(shapes.items())
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("uniform_box", UniformBox)
