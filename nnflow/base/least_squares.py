"""Non-negative least squares whose result is verified."""

from __future__ import annotations

import numpy as np

OPTIMAL = 1e-9
"""Largest violation of the optimality conditions, relative to the sizes of matrix and result."""
ROUNDING = 1e-14
"""Entries of bounded least squares below this share of the largest are zero: it leaves ±1e-18 at
bounds."""


def nonnegative(matrix: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, float]:
    """argmin ‖matrix·y − right‖ over y ≥ 0, and that norm.

    SciPy's nnls is fast and wrong at times where many columns are dependent (version 1.17 may
    report a residual of 0 at a y whose residual is 42). So its y is held against the conditions of
    optimality; where it fails, bounded least squares, which take a millisecond, take its place.
    Raises ArithmeticError where both fail.
    """
    from scipy.optimize import lsq_linear, nnls

    if matrix.shape[1] == 0:
        return np.zeros(0), float(np.linalg.norm(right))
    try:
        found = nnls(matrix, right)[0]
    except RuntimeError:  # too many steps
        found = np.full(matrix.shape[1], np.nan)
    if not _optimal(matrix, right, found):
        found = lsq_linear(matrix, right, (0, np.inf), method="bvls", tol=1e-14).x
        found = np.where(found > ROUNDING * np.abs(found).max(), found, 0.0)
        if not _optimal(matrix, right, found):
            raise ArithmeticError("non-negative least squares did not converge")
    return found, float(np.linalg.norm(matrix @ found - right))


def _optimal(matrix: np.ndarray, right: np.ndarray, found: np.ndarray) -> bool:
    """y ≥ 0, and with r = right − matrix·y: matrixᵀr ≤ 0, where y > 0 equal to 0."""
    slopes = matrix.T @ (right - matrix @ found)
    size = np.abs(matrix).max() * (np.abs(right).max() + np.abs(matrix).max() * np.abs(found).sum())
    return bool(
        (found >= 0).all()
        and (slopes <= OPTIMAL * size).all()
        and (np.abs(slopes[found > 0]) <= OPTIMAL * size).all()
    )
