"""Random orthogonal matrices."""

from __future__ import annotations

import numpy as np


def orthogonal(size: int, streams, draw: int) -> np.ndarray:
    """(run, size, size), uniform on the orthogonal group (Mezzadri 2007)."""
    drawn = streams.normal(size * size, draw=draw).reshape(-1, size, size)
    vectors, triangle = np.linalg.qr(drawn)
    return vectors * np.sign(np.diagonal(triangle, axis1=1, axis2=2))[:, None, :]
