"""What kind of critical point it is."""

from __future__ import annotations

import numpy as np

from nnflow.study.types import Classify

KINDS = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")
IS_GLOBAL = ("no", "yes", "unknown")
UNDETERMINED = -1


def inertia(eigenvalues: np.ndarray, zero_below: float) -> tuple[np.ndarray, np.ndarray]:
    """Index and nullity, (run,): how many eigenvalues are negative and how many are zero.

    eigenvalues: (run, mode). An eigenvalue is zero when |λ| ≤ zero_below·max|λ|.
    """
    zero = np.abs(eigenvalues) <= _scaled(eigenvalues, zero_below)
    return ((eigenvalues < 0) & ~zero).sum(axis=1), zero.sum(axis=1)


def zero_range(eigenvalues: np.ndarray, zero_below: float) -> np.ndarray:
    """(run, 2): every threshold between the two gives the same index and nullity."""
    largest = np.nanmax(np.abs(eigenvalues), axis=1, keepdims=True)
    relative = np.abs(eigenvalues) / np.where(largest > 0, largest, 1)
    zero = relative <= zero_below
    lower = np.where(zero, relative, 0).max(axis=1)
    upper = np.where(zero, np.inf, relative).min(axis=1)
    return np.stack([lower, upper], axis=1)


def indefinite(eigenvalues: np.ndarray, zero_below: float) -> np.ndarray:
    """(run,) bool: are there eigenvalues of both signs?"""
    scale = _scaled(eigenvalues, zero_below)
    return (eigenvalues < -scale).any(axis=1) & (eigenvalues > scale).any(axis=1)


def kinds(
    both_signs: np.ndarray,
    index: np.ndarray,
    nullity: np.ndarray,
    modes: int,
    gradient_norm: np.ndarray,
    smooth: np.ndarray,
    settings: Classify,
) -> np.ndarray:
    """Indices into KINDS, (run,).

    A point with eigenvalues of both signs is a saddle whatever its nullity. One whose
    eigenvalues are of one sign or zero, or not all known, is `degenerate`: second order
    can't tell.
    """
    kind = np.full(len(index), KINDS.index("degenerate"))
    kind[(index == 0) & (nullity == 0)] = KINDS.index("minimum")
    kind[index == modes] = KINDS.index("maximum")
    kind[both_signs] = KINDS.index("saddle")
    kind[~smooth] = KINDS.index("nonsmooth")
    kind[~(gradient_norm < settings.critical_below)] = KINDS.index("not_critical")
    return kind


def is_global(loss: np.ndarray, infimum: float | None, within: float) -> np.ndarray:
    """Indices into IS_GLOBAL, (run,)."""
    if infimum is None:
        return np.full(len(loss), IS_GLOBAL.index("unknown"))
    return np.where(loss - infimum < within, IS_GLOBAL.index("yes"), IS_GLOBAL.index("no"))


def _scaled(eigenvalues: np.ndarray, zero_below: float) -> np.ndarray:
    return zero_below * np.nanmax(np.abs(eigenvalues), axis=1, keepdims=True)
