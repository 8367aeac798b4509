"""Families: critical points that are equivalent under the model's symmetry.

Invariants and marks are only ever read as rows, a piece at a time: any array will do, and
`base.spilled.Spilled`, whose rows lie on disk.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

NO_FAMILY = -1
JOINED = ("no", "yes", "unknown")
"""Is a path within the valley known between all runs of the family?"""
FOUND, AGREED = 2, 2
"""A valley is told from others where at least this many runs lie in each, and walks to this many
landmarks say the same."""
PIECE = 2**12
"""Runs that are compared at a time."""
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
    order = np.argsort(loss, kind="stable")
    first = np.searchsorted(loss, -np.inf, side="right", sorter=order)
    number = 0
    for place in range(first, np.searchsorted(loss, np.inf, sorter=order)):
        row = order[place]
        if family[row] != NO_FAMILY:
            continue
        limit = _rounded(within if level is None else level[row], loss[row])
        # those of lower loss are taken already, if they were equivalent
        stop = np.searchsorted(loss, loss[row] + 2 * limit, side="right", sorter=order)
        point = invariants[row] if isolated[row] else None
        for near in _pieces(order[place:stop]):
            near = near[(family[near] == NO_FAMILY) & (isolated[near] == isolated[row])]
            near = near[np.abs(loss[near] - loss[row]) <= limit]
            if point is not None:
                near = near[_equivalent(invariants[near], point, within)]
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
    joined = np.full(len(family), JOINED.index("yes"), np.int8)
    joined[none] = JOINED.index("unknown")
    part = np.zeros(len(family), np.int32)
    parts_of = np.bincount(family[~none]).astype(bool).astype(int)
    order = np.argsort(family, kind="stable")
    for number in np.unique(family[curved & ~none]):
        runs = order[slice(*np.searchsorted(family, [number, number + 1], sorter=order))]
        if not any(np.isfinite(marks[some]).any() for some in _pieces(runs)):
            joined[runs] = JOINED.index("yes" if len(runs) == 1 else "unknown")
            continue
        places = [_clusters(marks, runs, landmark, within) for landmark in range(marks.shape[1])]
        parts = _joined(places)
        agreed = sum(np.array_equal(place, parts) for place in places)
        if np.bincount(parts).min() >= FOUND and agreed >= AGREED:
            part[runs], parts_of[number] = parts, parts.max() + 1
        elif parts.max() > 0:
            joined[runs] = JOINED.index("no")
    before = np.cumsum(parts_of) - parts_of
    return np.where(none, NO_FAMILY, before[family] + part) if len(before) else family, joined


def _clusters(marks: np.ndarray, runs: np.ndarray, landmark: int, within: float) -> np.ndarray:
    """Numbers (run,) from 0, by first appearance, of the places that some runs walked to: in no
    column is there a gap wider than `within` between those of one place. NaN is a place for each.
    """
    places = np.zeros(len(runs), np.int32)
    for number in range(marks.shape[2]):
        # views would keep all marks
        parts = [marks[some][:, landmark, number].copy() for some in _pieces(runs)]
        column = np.concatenate(parts)
        rising = np.sort(column)
        starts = rising[1:][~(np.diff(rising) <= within)]
        rank = np.searchsorted(starts, column, side="right")
        alone = ~np.isfinite(column)
        rank[alone] = len(starts) + np.arange(1, alone.sum() + 1)
        rank += (len(starts) + alone.sum() + 1) * places.astype(int)
        places[:] = np.searchsorted(np.unique(rank), rank)
    return _numbered(places)


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
    first = np.full(labels.max() + 1, len(labels))
    np.minimum.at(first, labels, np.arange(len(labels)))
    # labels that none has are behind all others
    return np.argsort(np.argsort(first)).astype(np.int32)[labels]


def beside(
    loss: np.ndarray, invariants: np.ndarray, some: np.ndarray, others: np.ndarray, within: float
) -> np.ndarray:
    """(run,) bool: which of `some` runs are the same point as one of the `others`, by loss and
    invariants. some, others: (run,) bool."""
    rows = np.flatnonzero(others)
    rows = rows[np.argsort(loss[rows], kind="stable")]
    rising = loss[rows]
    found = np.zeros(len(loss), bool)
    for runs in _pieces(np.flatnonzero(some)):
        level = _rounded(within, loss[runs])
        first, last = (np.searchsorted(rising, loss[runs] + sign * level) for sign in (-1, 1))
        for place in np.flatnonzero(last > first):
            point = invariants[runs[place]]
            found[runs[place]] = any(
                _equivalent(invariants[near], point, within).any()
                for near in _pieces(rows[first[place] : last[place]])
            )
    return found


def _equivalent(invariants: np.ndarray, point: np.ndarray, within: float) -> np.ndarray:
    """(row,) bool: which rows of invariants (row, number) are those of the point (number,)?"""
    return (np.abs(invariants - point) < _rounded(within, point)).all(axis=1)


def _pieces(rows: np.ndarray) -> Iterator[np.ndarray]:
    """Row numbers, as many at a time as are read at once."""
    return (rows[start : start + PIECE] for start in range(0, len(rows), PIECE))


def _rounded(within: float | np.ndarray, values: np.ndarray) -> np.ndarray:
    """The threshold, and not below what rounding makes of the values."""
    return np.maximum(within, ROUNDING * np.abs(values))
