"""Points and targets to be learnt by heart."""

from __future__ import annotations

import numpy as np

from nnflow import Streams

SORTS = ("gaussian", "clusters", "grid")
"""Normal points; ten narrow clusters of them; and multiples of one vector, evenly spaced."""


def sample(sort: str, samples: int, inputs: int, streams: Streams) -> tuple[np.ndarray, np.ndarray]:
    """Points (trial, n, d), all distinct, and targets (trial, n), standard normal numbers of which
    one in ten is a hundredfold."""
    points = streams.normal(samples * inputs, draw=0).reshape(-1, samples, inputs)
    if sort == "clusters":
        centers = points[:, np.arange(samples) % min(10, samples)]
        points = centers + 1e-3 * points[:, ::-1]
    if sort == "grid":
        points = np.arange(1, samples + 1)[:, None] / samples * points[:, :1]
    targets = streams.normal(samples, draw=1)
    targets[:, ::10] *= 100
    return points, targets
