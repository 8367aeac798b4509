"""Weights uniform in a ball."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Initializer, UserError

from .._ball import uniform_in_ball
from ._values import Values, check_names


class UniformBall(Initializer):
    """All weights of a run together are uniform in the ball {‖W − W₀‖ ≤ radius}."""

    radius: PositiveFloat
    """Radius of the ball, in the Euclidean norm over all weights."""
    center: Values = {}
    """Center W₀ by weight, in the weight's own shape; 0 for weights that are not named."""

    varies = ("radius",)

    def draw(self, shapes, streams):
        check_names("uniform_ball.center", self.center, shapes)
        inside = uniform_in_ball(self.radius, shapes, streams)
        return {name: self._center(name, shape) + inside[name] for name, shape in shapes.items()}

    def _center(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        center = np.asarray(self.center.get(name, np.zeros(shape)), dtype=np.float64)
        if center.shape != shape:
            raise UserError(
                f"uniform_ball.center.{name}: the shape is {center.shape}, the weight's is {shape}"
            )
        return center


@nnflow.hookimpl
def nnflow_register(register):
    register("uniform_ball", UniformBall)
