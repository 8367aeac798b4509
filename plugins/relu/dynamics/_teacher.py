"""When a run of a two-layer network has ended at the teacher itself."""

from __future__ import annotations

import numpy as np

NEAR = 1e-3
"""Largest distance of an entry from w*'s at which a polished critical point is w*: far above what
polishing leaves (1e-9) and far below the distance of w* from its next image (1)."""


def at_teacher(weights: np.ndarray) -> np.ndarray:
    """(run,) bool: are these weights (run, K, K) those of K orthonormal teachers, in order?"""
    return np.abs(weights - np.eye(weights.shape[1])).max(axis=(1, 2)) < NEAR
