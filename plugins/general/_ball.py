"""Weights uniform in a ball around zero."""

from __future__ import annotations

import math

import numpy as np


def uniform_in_ball(radius: float, shapes, streams) -> dict[str, np.ndarray]:
    """{name: (run, *shape)}, all weights of a run together uniform in the ball.

    Drawn as the first d coordinates of a point uniform on the sphere of d + 2 dimensions,
    which are uniform in the ball of d dimensions (Archimedes; Barthe et al. 2005).
    """
    sizes = [math.prod(shape) for shape in shapes.values()]
    drawn = streams.normal(sum(sizes) + 2)
    inside = radius * drawn[:, :-2] / np.linalg.norm(drawn, axis=1, keepdims=True)
    parts = np.split(inside, np.cumsum(sizes)[:-1], axis=1)
    return {
        name: part.reshape(-1, *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
