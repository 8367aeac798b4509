"""Families: critical points that are one another's images under the model's symmetry."""

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
    order = [row for row in np.argsort(loss, kind="stable") if np.isfinite(loss[row])]
    number = 0
    for row in order:
        if family[row] != NO_FAMILY:
            continue
        alike = (family == NO_FAMILY) & (np.abs(loss - loss[row]) < within)
        alike &= isolated == isolated[row]
        if isolated[row]:
            alike &= np.abs(invariants - invariants[row]).max(axis=1, initial=0) < within
        family[alike] = number
        number += 1
    return family
