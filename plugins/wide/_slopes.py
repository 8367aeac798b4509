"""Slopes in double logarithmic plots, with intervals."""

from __future__ import annotations

import numpy as np

NORMAL = 2.5758293035489004
"""Half-width of a 99 % interval in standard errors."""


def log_slope(n: np.ndarray, values: np.ndarray, halves: np.ndarray) -> tuple[float, float, float]:
    """Weighted least squares of ln values in ln n, and the interval from those of the values, which
    are independent. halves: half-widths of ln values."""
    weights = 1 / halves**2
    x = np.log(n) - np.average(np.log(n), weights=weights)
    pull = weights * x / (weights * x**2).sum()
    slope, half = float(pull @ np.log(values)), float(np.sqrt(pull**2 @ halves**2))
    return slope, slope - half, slope + half
