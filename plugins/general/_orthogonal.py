"""Random orthogonal matrices."""

from __future__ import annotations

import numpy as np


def orthogonal(drawn: np.ndarray) -> np.ndarray:
    """Uniform on the orthogonal group, of standard normal numbers (…, size, size).

    Mezzadri 2007 (arXiv:math-ph/0609050)."""
    vectors, triangle = np.linalg.qr(drawn)
    return vectors * np.sign(np.diagonal(triangle, axis1=-2, axis2=-1))[..., None, :]


def rotation(drawn: np.ndarray) -> np.ndarray:
    """Uniform on the rotations, det = 1, of standard normal numbers (…, size, size)."""
    basis = orthogonal(drawn)
    basis[..., 0] *= np.linalg.det(basis)[..., None]
    return basis
