"""Limits of sequences that are power series in 1/√k."""

from __future__ import annotations

import numpy as np


def limit(k: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """lim values(k) as k → ∞ and an interval around it; NaN for fewer than four values.

    The polynomial in 1/√k through all values, at 0 (Neville's scheme, as Richardson's
    extrapolation does it). The interval reaches as far as the same through all but the least k,
    or all but the greatest, differs from it.
    """
    if len(k) < 4:
        return np.nan, np.nan, np.nan
    order = np.argsort(k)
    x, y = 1 / np.sqrt(np.asarray(k, dtype=float)[order]), np.asarray(values, dtype=float)[order]
    value = _at_zero(x, y)
    half = max(abs(_at_zero(x[1:], y[1:]) - value), abs(_at_zero(x[:-1], y[:-1]) - value))
    return value, value - half, value + half


def _at_zero(x: np.ndarray, y: np.ndarray) -> float:
    """The interpolating polynomial at 0."""
    y = y.copy()
    for step in range(1, len(x)):
        left, right = x[:-step], x[step:]
        y = (left * y[1:] - right * y[:-1]) / (left - right)
    return float(y[0])
