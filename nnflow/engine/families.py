"""Families: critical points that are equivalent under the model's symmetry."""

from __future__ import annotations

import numpy as np

NO_FAMILY = -1
JOINED = ("no", "yes", "unknown")
"""Is a path within the valley known between all runs of the family?"""
FOUND, AGREED = 2, 2
"""A valley is told from others where at least this many runs lie in each, and walks to this many
landmarks say the same."""
PIECE = 2**12
"""Runs whose invariants are copied at a time."""
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
        # those of lower loss are taken already, if they were equivalent
        near = order[place : np.searchsorted(rising, loss[row] + 2 * level[row], side="right")]
        near = near[(family[near] == NO_FAMILY) & (isolated[near] == isolated[row])]
        near = near[np.abs(loss[near] - loss[row]) <= level[row]]
        if isolated[row]:
            near = near[_equivalent(invariants, near, row, within)]
        family[near] = number
        number += 1
    return family


def split_valleys(
    family: np.ndarray, marks: np.ndarray, curved: np.ndarray, within: float
) -> tuple[np.ndarray, np.ndarray]:
    """Families (run,), curved valleys of one loss distinguished, and indices into JOINED, (run,).

    marks: (run, landmark, number), where each run walked to (`valleys.marks`), NaN where it did not
    arrive or did not walk. curved: (run,) bool, runs whose loss alone makes their family. Runs that
    any walks lead to one place are joined. A family falls into the parts that are left where each
    has `FOUND` runs and the walks to `AGREED` landmarks, each by itself, leave the same ones, so
    that they are no accident of a landmark. Else it stays one, and `joined` is no; unknown where no
    run walked.
    """
    none = family == NO_FAMILY
    joined = np.where(none, JOINED.index("unknown"), JOINED.index("yes"))
    numbers = family.astype(float)
    for number in np.unique(family[curved & (family != NO_FAMILY)]):
        runs = np.flatnonzero(family == number)
        if not np.isfinite(marks[runs]).any():
            joined[runs] = JOINED.index("yes" if len(runs) == 1 else "unknown")
            continue
        places = [_clusters(at, within) for at in marks[runs].swapaxes(0, 1)]
        parts = _joined(places)
        agreed = sum(np.array_equal(place, parts) for place in places)
        if np.bincount(parts).min() >= FOUND and agreed >= AGREED:
            numbers[runs] += parts / (parts.max() + 1)
        elif parts.max() > 0:
            joined[runs] = JOINED.index("no")
    split = family.copy()
    split[~none] = np.unique(numbers[~none], return_inverse=True)[1]
    return split, joined


def _clusters(values: np.ndarray, within: float) -> np.ndarray:
    """Numbers (run,) from 0, by first appearance, of the rows of values (run, number) that are one
    place: in no column is there a gap wider than `within` between them. NaN is a place for each."""
    ranks = np.zeros(values.shape, int)
    for column, rank in zip(values.T, ranks.T, strict=True):
        order = np.argsort(column, kind="stable")
        gaps = ~(np.diff(column[order]) <= within)
        rank[order] = np.concatenate([[0], np.cumsum(gaps)])
    return _numbered(np.unique(ranks, axis=0, return_inverse=True)[1])


def _joined(places: list[np.ndarray]) -> np.ndarray:
    """Numbers (run,) of the parts that are left where runs of one place, of any of the lists
    (run,), are joined."""
    parts = np.arange(len(places[0]))
    while True:
        before = parts.copy()
        for place in places:
            least = np.full(place.max() + 1, len(parts))
            np.minimum.at(least, place, parts)
            parts = least[place]
        if np.array_equal(parts, before):
            return _numbered(parts)


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Numbers from 0 in place of labels, by first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


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
        found[run] = _equivalent(invariants, rows[first:last], run, within).any()
    return found


def _equivalent(invariants: np.ndarray, rows: np.ndarray, one: int, within: float) -> np.ndarray:
    """(row,) bool: which of these rows of the invariants (run, number) are those of the one?"""
    close, level = np.empty(len(rows), bool), _rounded(within, invariants[one])
    for start in range(0, len(rows), PIECE):
        part = slice(start, start + PIECE)
        apart = np.abs(invariants[rows[part]] - invariants[one])
        close[part] = (apart < level).all(axis=1)
    return close


def _rounded(within: float | np.ndarray, values: np.ndarray) -> np.ndarray:
    """The threshold, and not below what rounding makes of the values."""
    return np.maximum(within, ROUNDING * np.abs(values))
