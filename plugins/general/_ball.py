"""Points uniform in a ball around zero."""

from __future__ import annotations

import math

import numpy as np


def in_ball(radius: float, drawn: np.ndarray) -> np.ndarray:
    """Points (row, d) uniform in the ball, of standard normal numbers (row, d + 2).

    The first d coordinates of a point uniform on the unit sphere of d + 2 dimensions are uniform
    in the unit ball of d dimensions (Archimedes; Barthe et al. 2005).
    """
    return radius * drawn[:, :-2] / np.linalg.norm(drawn, axis=1, keepdims=True)


def uniform_in_ball(radius: float, shapes, streams) -> dict[str, np.ndarray]:
    """{name: (run, *shape)}, all weights of a run together uniform in the ball."""
    sizes = [math.prod(shape) for shape in shapes.values()]
    inside = in_ball(radius, streams.normal(sum(sizes) + 2))
    parts = np.split(inside, np.cumsum(sizes)[:-1], axis=1)
    return {
        name: part.reshape(-1, *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }
