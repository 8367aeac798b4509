"""Weights uniform in a ball."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Initializer, UserError

from ._values import Values, check_names


class UniformBall(Initializer):
    """All weights of a run together are uniform in the ball {‖W − W₀‖ ≤ radius}.

    Drawn as the first d coordinates of a point uniform on the sphere of d + 2 dimensions,
    which are uniform in the ball of d dimensions (Archimedes; Barthe et al. 2005).
    """

    radius: PositiveFloat
    """Radius of the ball, in the Euclidean norm over all weights."""
    center: Values = {}
    """Center W₀ by weight, in the weight's own shape; 0 for weights that are not named."""

    def draw(self, shapes, streams):
        check_names("uniform_ball.center", self.center, shapes)
        sizes = [math.prod(shape) for shape in shapes.values()]
        drawn = streams.normal(sum(sizes) + 2)
        inside = self.radius * drawn[:, :-2] / np.linalg.norm(drawn, axis=1, keepdims=True)
        parts = np.split(inside, np.cumsum(sizes)[:-1], axis=1)
        return {
            name: self._center(name, shape) + part.reshape(-1, *shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }

    def _center(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        center = np.asarray(self.center.get(name, np.zeros(shape)), dtype=np.float64)
        if center.shape != shape:
            raise UserError(
                f"uniform_ball.center.{name}: the shape is {center.shape}, the weight's is {shape}"
            )
        return center


@nnflow.hookimpl
def nnflow_register_initializers(register):
    register("uniform_ball", UniformBall)
