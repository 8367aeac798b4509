"""What kind of critical point it is."""

from __future__ import annotations

import numpy as np

from nnflow.base.errors import UserError
from nnflow.study.types import Classify

KINDS = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")
IS_GLOBAL = ("no", "yes", "unknown")
UNDETERMINED = -1
ROUNDING = 1e-9
"""A loss may lie below its infimum by this much, relative to 1 + |infimum|, from rounding."""


def inertia(
    eigenvalues: np.ndarray, zero_below: float, largest: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Index and nullity, (run,): how many eigenvalues are negative and how many are zero.

    eigenvalues: (run, mode), NaN where there is none. An eigenvalue is zero when
    |λ| ≤ zero_below·largest. largest: (run,); None: max|λ|.
    """
    zero = np.abs(eigenvalues) <= zero_below * _largest(eigenvalues, largest)
    return ((eigenvalues < 0) & ~zero).sum(axis=1), zero.sum(axis=1)


def zero_range(
    eigenvalues: np.ndarray, zero_below: float, largest: np.ndarray | None = None
) -> np.ndarray:
    """(run, 2): every threshold between the two gives the same index and nullity."""
    scale = _largest(eigenvalues, largest)
    relative = np.abs(eigenvalues) / np.where(scale > 0, scale, 1)
    zero = relative <= zero_below
    lower = np.where(zero, relative, 0).max(axis=1, initial=0)
    upper = np.where(zero | np.isnan(relative), np.inf, relative).min(axis=1, initial=np.inf)
    return np.stack([lower, upper], axis=1)


def indefinite(eigenvalues: np.ndarray, zero_below: float) -> np.ndarray:
    """(run,) bool: are there eigenvalues of both signs?"""
    scale = zero_below * _largest(eigenvalues, None)
    return (eigenvalues < -scale).any(axis=1) & (eigenvalues > scale).any(axis=1)


def second_order(
    both_signs: np.ndarray, index: np.ndarray, nullity: np.ndarray, modes: int
) -> np.ndarray:
    """Indices into KINDS, (run,), by the signs of the eigenvalues alone.

    A point with eigenvalues of both signs is a saddle whatever its nullity. One whose
    eigenvalues are of one sign or zero, or not all known, is `degenerate`: second order
    can't tell.
    """
    kind = np.full(len(index), KINDS.index("degenerate"))
    kind[(index == 0) & (nullity == 0)] = KINDS.index("minimum")
    kind[index == modes] = KINDS.index("maximum")
    kind[both_signs] = KINDS.index("saddle")
    return kind


def kinds(
    by_second_order: np.ndarray, gradient_norm: np.ndarray, smooth: np.ndarray, settings: Classify
) -> np.ndarray:
    """Indices into KINDS, (run,): what second order says, where the loss is smooth and the
    gradient vanishes."""
    kind = by_second_order.copy()
    kind[~smooth] = KINDS.index("nonsmooth")
    kind[~(gradient_norm < settings.critical_below)] = KINDS.index("not_critical")
    return kind


def is_global(loss: np.ndarray, infimum: float | None, within: float) -> np.ndarray:
    """Indices into IS_GLOBAL, (run,)."""
    if infimum is None:
        return np.full(len(loss), IS_GLOBAL.index("unknown"))
    return np.where(loss - infimum < within, IS_GLOBAL.index("yes"), IS_GLOBAL.index("no"))


def check_infimum(loss: np.ndarray, infimum: float | None, runs: np.ndarray, model: str) -> None:
    """Raise UserError where a loss lies below the stated infimum by more than rounding.

    loss, runs: (run,), with the numbers of the runs.
    """
    if infimum is None:
        return
    below = np.flatnonzero(loss < infimum - ROUNDING * (1 + abs(infimum)))
    if len(below):
        worst = below[np.argmin(loss[below])]
        raise UserError(
            f"model {model!r}: run {runs[worst]} has the loss {loss[worst]:.10g}, below the model's"
            f" infimum {infimum:.10g}"
        )


def _largest(eigenvalues: np.ndarray, largest: np.ndarray | None) -> np.ndarray:
    """Largest magnitudes, (run, 1)."""
    if largest is not None:
        return largest[:, None]
    # NaN, without a warning, where a run of finite loss has no finite Hessian
    return np.fmax.reduce(np.abs(eigenvalues), axis=1, keepdims=True)
