"""Weights that the study writes out."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field, NonNegativeFloat

import nnflow
from nnflow import Initializer, UserError

from ._values import Values, check_names


class Given(Initializer):
    """Given values, and normal noise of standard deviation `noise` around them."""

    values: Values = Field(examples=[{"w": [[1, 0, 0, 0]] * 3, "b": [0, 0, 0]}])
    """By weight, a nested list: of the weight's own shape, the same for every run; or with a
    leading axis over runs, of which run i takes the entry i modulo its length."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of independent normal numbers that are added to every entry."""

    varies = ("noise",)

    def draw(self, shapes, streams):
        check_names("given.values", self.values, shapes)
        return {
            name: self._values(name, shape, streams.runs)
            + (self.noise * streams.normal(math.prod(shape), draw=i)).reshape(-1, *shape)
            for i, (name, shape) in enumerate(shapes.items())
        }

    def _values(self, name: str, shape: tuple[int, ...], runs: np.ndarray) -> np.ndarray:
        """(run, *shape), from values of either form."""
        if name not in self.values:
            raise UserError(f"given.values: the weight {name!r} of shape {shape} is missing")
        values = np.asarray(self.values[name], dtype=np.float64)
        if values.shape == shape:
            return np.broadcast_to(values, (len(runs), *shape))
        if values.ndim and values.shape[1:] == shape and len(values):
            return values[runs % len(values)]
        raise UserError(
            f"given.values.{name}: the shape is {values.shape}, the weight's is {shape}, or that"
            " with a leading axis over runs"
        )


@nnflow.hookimpl
def nnflow_register(register):
    register("given", Given)
