"""What kind of critical point it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nnflow.base.errors import UserError

KINDS = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")
OBSTACLES = ("none", "not_finite", "gradient", "curvature", "underflow")
"""What keeps a run's end from being a critical point: its weights or loss are not finite, its
gradient is not below the threshold, or its gradient is too large for its curvature, or its Hessian
is so small that nothing can be told."""
SENSITIVE = ("no", "yes", "unknown")
IS_GLOBAL = ("no", "yes", "unknown")
UNDETERMINED = -1
MARGIN = 10.0
"""A kind is sensitive where a zero threshold this many times as large or small would change it."""
SMALL, LARGE = 1e-4, 1e4
"""Norms of the Hessian between which absolute thresholds make sense. Outside of them the loss has
another unit: above, rounding keeps the gradient from the thresholds, below, anything meets them."""
UNDERFLOW = 1e-140
"""Norm of the Hessian below which the squares of gradients that polishing is to reach, 1e-9 times
as large, are zero in float64."""
CRITICAL = 1e-9
"""A gradient norm below this needs no curvature that explains it: polished points of degenerate
sets have 1e-10 and less."""
ROUNDING = 1e-9
"""A loss may lie below its infimum by this much, relative to 1 + |infimum|, from rounding."""


def inertia(
    eigenvalues: np.ndarray, zero_below: float | np.ndarray, largest: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Index and nullity, (run,): how many eigenvalues are negative and how many are zero.

    eigenvalues: (run, mode), NaN where there is none. An eigenvalue is zero when
    |λ| ≤ zero_below·largest. zero_below: one number or (run, 1). largest: (run,); None: max|λ|.
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


def sensitive(zero_ranges: np.ndarray, zero_below: float) -> np.ndarray:
    """Indices into SENSITIVE, (run,): would a zero threshold `MARGIN` times as large or as small
    judge the run otherwise? zero_ranges: (run, 2), as `zero_range` gives them; NaN: unknown."""
    low, high = zero_ranges.T
    found = (low >= zero_below / MARGIN) & (low > 0) | (high <= zero_below * MARGIN)
    return np.where(np.isnan(low), SENSITIVE.index("unknown"), found.astype(int))


def one_kind(
    family: np.ndarray, kind: np.ndarray, counts: Sequence[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
    """One point has one kind: families of several smooth kinds become `degenerate`, and counts
    (index, nullity; (run,) each) that differ within one are undetermined. Returns kind, where each
    of the counts is undetermined by that, and where a kind was changed or a count differed, (run,)
    bool.

    family, kind: (run,), a family's number or −1, and indices into KINDS.
    """
    kind, differ = kind.copy(), [np.zeros(len(kind), bool) for _ in counts]
    split = np.zeros(len(kind), bool)
    smooth = ~np.isin(kind, [KINDS.index(name) for name in ("nonsmooth", "not_critical")])
    chosen = np.flatnonzero((family >= 0) & smooth)
    numbers, size = family[chosen], family.max(initial=-1) + 1
    least, most = np.full(size, len(KINDS)), np.full(size, -1)
    np.minimum.at(least, numbers, kind[chosen])
    np.maximum.at(most, numbers, kind[chosen])
    for number in np.flatnonzero(least < most):
        runs = chosen[numbers == number]
        kind[runs], split[runs] = KINDS.index("degenerate"), True
        for count, differs in zip(counts, differ, strict=True):
            differs[runs] = len(np.unique(count[runs])) > 1
    return kind, differ, split


def indefinite(eigenvalues: np.ndarray, zero_below: float | np.ndarray) -> np.ndarray:
    """(run,) bool: are there eigenvalues of both signs? zero_below: one number or (run, 1)."""
    scale = zero_below * _largest(eigenvalues, None)
    return (eigenvalues < -scale).any(axis=1) & (eigenvalues > scale).any(axis=1)


def inertia_of_ends(
    lowest: np.ndarray, highest: np.ndarray, zero: np.ndarray, error: np.ndarray, modes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Index and nullity, (run,), from both ends of a spectrum of `modes` eigenvalues; −1 where
    they leave them open.

    lowest, highest: (run, count), ascending, NaN where one is not known; either may be empty.
    zero: (run, 1): up to it an eigenvalue is zero. error: (run, lowest and then highest): each
    eigenvalue's residual; one that is larger leaves the sign open. What lies between the ends is of
    the sign of the innermost known eigenvalue of the lower end where that is positive, and of the
    upper end where that is negative. Where no eigenvalue is negative the index is 0, however many
    are zero.
    """
    low, high = (
        _signs(lowest, zero, error[:, : lowest.shape[1]]),
        _signs(highest, zero, error[:, lowest.shape[1] :]),
    )
    above = (low == 1).any(axis=1) | ((low != OPEN).all(axis=1) & (low.shape[1] == modes))
    below = (high == -1).any(axis=1) | ((high != OPEN).all(axis=1) & (high.shape[1] == modes))
    index = np.full(len(low), UNDETERMINED)
    nullity = index.copy()
    if high.shape[1]:
        counted = below & ~((high == OPEN) & ~np.isnan(highest)).any(axis=1)
        nullity[counted] = (high == 0).sum(axis=1)[counted]
        index[counted] = (modes - ((high == 0) | (high == 1)).sum(axis=1))[counted]
    if low.shape[1]:
        index[np.isin(low[:, 0], (0, 1))] = 0
        counted = above & ~((low == OPEN) & ~np.isnan(lowest)).any(axis=1)
        nullity[counted] = (low == 0).sum(axis=1)[counted]
        index[counted] = (low == -1).sum(axis=1)[counted]
    if low.shape[1] and high.shape[1]:
        flat = (low[:, 0] == 0) & (high[:, -1] == 0)
        nullity[flat] = modes
    return index, nullity


def index_bounds(
    values: np.ndarray, zero: np.ndarray, floor: np.ndarray, modes: int
) -> dict[str, np.ndarray]:
    """`index_least` and `index_most`, (run,): between what the index must lie.

    values: (run, count), some Ritz values of a matrix with `modes` rows, of both ends. At least as
    many eigenvalues are negative, or positive, as Ritz values are (Cauchy). zero: (run, 1). floor:
    (run,), what no eigenvalue is below, NaN where that is not known.
    """
    least = (values < -zero).sum(axis=1)
    most = modes - (values > zero).sum(axis=1)
    return {"index_least": least, "index_most": np.where(floor >= -zero[:, 0], 0, most)}


OPEN = 9
"""A sign that is not known."""


def _signs(values: np.ndarray, zero: np.ndarray, error: np.ndarray) -> np.ndarray:
    """1, −1, 0 for zero, or OPEN, of each eigenvalue."""
    signs = np.where(np.abs(values) <= zero, 0, np.where(values > 0, 1, -1))
    open_ = (error > zero) & (np.abs(values) - error <= zero)
    return np.where(open_ | np.isnan(values), OPEN, signs)


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


def kinds(by_second_order: np.ndarray, obstacle: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """Indices into KINDS, (run,): what second order says, where the loss is smooth and nothing
    (obstacle (run,): indices into OBSTACLES) keeps the point from being critical."""
    kind = by_second_order.copy()
    kind[~smooth] = KINDS.index("nonsmooth")
    kind[obstacle != OBSTACLES.index("none")] = KINDS.index("not_critical")
    return kind


def critical_limit(critical_below: float, norm: np.ndarray) -> np.ndarray:
    """The gradient norm below which a point is critical, (run,): critical_below, and where the norm
    of the Hessian exceeds LARGE, more in proportion. norm: (run,)."""
    return critical_below * np.maximum(1, norm / LARGE)


def small_unit(norm: np.ndarray) -> np.ndarray:
    """(run,): 1, and where the Hessian's norm (run,) is below SMALL, its fraction of SMALL."""
    return np.minimum(norm, SMALL) / SMALL


def obstacle_of_unit(
    obstacle: np.ndarray, gradient_norm: np.ndarray, norm: np.ndarray, critical_below: float
) -> np.ndarray:
    """The obstacles (run,) where the loss is of a small unit: its gradient has to be below the
    threshold in proportion to the Hessian's norm, or zero. All arguments but the last: (run,)."""
    small = (norm < SMALL) & (gradient_norm > 0)
    far = small & (gradient_norm >= critical_below * small_unit(norm))
    found = np.where((obstacle == 0) & far, OBSTACLES.index("gradient"), obstacle)
    return np.where((norm > 0) & (norm < UNDERFLOW), OBSTACLES.index("underflow"), found)


def is_global(
    loss: np.ndarray, infimum: float | None, within: float, unit: np.ndarray | float = 1.0
) -> np.ndarray:
    """Indices into IS_GLOBAL, (run,).

    unit: `small_unit` of the runs. A loss that is within the threshold, but not within that
    fraction of it, is `unknown`: in its unit the threshold tells nothing apart. So is NaN.
    """
    if infimum is None:
        return np.full(len(loss), IS_GLOBAL.index("unknown"))
    above = loss - infimum
    sure = within * unit + 1e-12 * abs(infimum)
    known = np.where(above < within, IS_GLOBAL.index("yes"), IS_GLOBAL.index("no"))
    return np.where(
        (above > sure) & (above < within) | np.isnan(loss), IS_GLOBAL.index("unknown"), known
    )


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
