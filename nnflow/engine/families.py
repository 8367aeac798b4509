"""Families: critical points that are one another's images under the model's symmetry."""

from __future__ import annotations

import numpy as np

NO_FAMILY = -1
ROUNDING = 1e-12
"""Rounding of losses and invariants, as a fraction of their size: what is of the order of 1e12
differs by more than any absolute threshold."""


def families(
    loss: np.ndarray,
    invariants: np.ndarray,
    isolated: np.ndarray,
    within: float,
    level: np.ndarray | None = None,
) -> np.ndarray:
    """Family numbers (run,), from 0 by rising loss.

    loss: (run,). invariants: (run, number), the same for all images of a point. level: (run,),
    losses that differ by less are one; None: `within`. Runs with NaN loss belong to no family.
    Points that are not `isolated` (degenerate or nonsmooth) lie in continua that the symmetry does
    not explain; they are grouped by loss alone.
    """
    family = np.full(len(loss), NO_FAMILY)
    level = _rounded(np.full(len(loss), within) if level is None else level, loss)
    finite = np.flatnonzero(np.isfinite(loss))
    order = finite[np.argsort(loss[finite], kind="stable")]
    rising = loss[order]
    number = 0
    for place, row in enumerate(order):
        if family[row] != NO_FAMILY:
            continue
        # those of lower loss are taken already, if they were alike
        near = order[place : np.searchsorted(rising, loss[row] + 2 * level[row], side="right")]
        near = near[(family[near] == NO_FAMILY) & (isolated[near] == isolated[row])]
        near = near[np.abs(loss[near] - loss[row]) <= level[row]]
        if isolated[row]:
            near = near[_alike(invariants[near], invariants[row], within)]
        family[near] = number
        number += 1
    return family


def beside(
    loss: np.ndarray, invariants: np.ndarray, some: np.ndarray, others: np.ndarray, within: float
) -> np.ndarray:
    """(run,) bool: which of `some` runs are the same point as one of the `others`, by loss and
    invariants. some, others: (run,) bool."""
    rows = np.flatnonzero(others)
    rows = rows[np.argsort(loss[rows], kind="stable")]
    found = np.zeros(len(loss), bool)
    for run in np.flatnonzero(some):
        level = _rounded(within, loss[run])
        first, last = np.searchsorted(loss[rows], [loss[run] - level, loss[run] + level])
        found[run] = _alike(invariants[rows[first:last]], invariants[run], within).any()
    return found


def _alike(some: np.ndarray, one: np.ndarray, within: float) -> np.ndarray:
    """(run,) bool: which invariants (run, number) are those of the one (number,)?"""
    return (np.abs(some - one) < _rounded(within, one)).all(axis=1)


def _rounded(within: float | np.ndarray, values: np.ndarray) -> np.ndarray:
    """The threshold, and not below what rounding makes of the values."""
    return np.maximum(within, ROUNDING * np.abs(values))
