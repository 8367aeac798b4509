"""How a mean over pairs of networks falls with their width."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.99
"""As that of `nnflow.mean`."""


def width_slope(widths, values: list[np.ndarray]) -> tuple[float, float, float]:
    """The slope of log(mean over pairs) on log(width) by least squares, with its interval: −1 where
    the mean halves when the width doubles.

    widths: (width,), at least two. values: those of the independent pairs at each width. The
    standard error is the jackknife's over pairs, Σ_w (n_w − 1)/n_w Σ_j (b₋ⱼ − b̄_w)², where b₋ⱼ is
    the slope without pair j of width w (Shao & Tu 1995, Section 2.1, by strata); the interval is
    Student's with the fewest degrees of freedom of any width, which is on the safe side. NaN where
    a mean is not positive or a width has no pair; the whole line where a width has one pair.
    """
    from scipy.special import stdtrit

    sizes = np.array([len(part) for part in values])
    if len(sizes) < 2 or sizes.min() == 0:
        return np.nan, np.nan, np.nan
    means = np.array([part.mean() for part in values])
    lengths = np.log(np.asarray(widths, dtype=float))
    part_of = (lengths - lengths.mean()) / ((lengths - lengths.mean()) ** 2).sum()
    if means.min() <= 0:
        return np.nan, np.nan, np.nan
    slope = float(part_of @ np.log(means))
    if sizes.min() == 1:
        return slope, -np.inf, np.inf
    variance = 0.0
    for weight, part, size in zip(part_of, values, sizes, strict=True):
        without = (part.sum() - part) / (size - 1)
        if without.min() <= 0:
            return slope, -np.inf, np.inf
        left = weight * np.log(without)
        variance += (size - 1) / size * ((left - left.mean()) ** 2).sum()
    half = float(stdtrit(sizes.min() - 1, (1 + CONFIDENCE) / 2) * np.sqrt(variance))
    return slope, slope - half, slope + half
