"""Families: critical points that are equivalent under the model's symmetry."""

from __future__ import annotations

import numpy as np

NO_FAMILY = -1


def families(
    loss: np.ndarray, invariants: np.ndarray, isolated: np.ndarray, within: float
) -> np.ndarray:
    """Family numbers (run,), from 0 by rising loss.

    loss: (run,). invariants: (run, number), the same for all images of a point. Runs with
    NaN loss belong to no family. Points that are not `isolated` (degenerate or nonsmooth)
    lie in continua that the symmetry does not explain; they are grouped by loss alone.
    """
    family = np.full(len(loss), NO_FAMILY)
    finite = np.flatnonzero(np.isfinite(loss))
    order = finite[np.argsort(loss[finite], kind="stable")]
    rising = loss[order]
    number = 0
    for place, row in enumerate(order):
        if family[row] != NO_FAMILY:
            continue
        # those of lower loss are taken already, if they were alike
        near = order[place : np.searchsorted(rising, loss[row] + 2 * within)]
        near = near[(family[near] == NO_FAMILY) & (isolated[near] == isolated[row])]
        near = near[np.abs(loss[near] - loss[row]) < within]
        if isolated[row]:
            apart = np.abs(invariants[near] - invariants[row]).max(axis=1, initial=0)
            near = near[apart < within]
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
        first, last = np.searchsorted(loss[rows], [loss[run] - within, loss[run] + within])
        near = invariants[rows[first:last]] - invariants[run]
        found[run] = (np.abs(near).max(axis=1, initial=0) < within).any()
    return found
