"""Intervals: every share and every mean carries one."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.99


def share(count: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """count/trials and its exact binomial (Clopper–Pearson) interval; NaN for no trials."""
    from scipy import stats  # costs half a second, and planning needs none of it

    if trials == 0:
        return np.nan, np.nan, np.nan
    interval = stats.binomtest(count, trials).proportion_ci(confidence, method="exact")
    return count / trials, interval.low, interval.high


def mean(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Mean of independent values and its Student interval; the interval of a single value
    is the whole line, no values give NaN."""
    from scipy import stats

    values = np.asarray(values, dtype=float)
    if values.size == 0:
        return np.nan, np.nan, np.nan
    average = float(values.mean())
    if values.size == 1:
        return average, -np.inf, np.inf
    half = stats.t.ppf((1 + confidence) / 2, values.size - 1) * stats.sem(values)
    return average, average - half, average + half


def two_binomials_agree(
    count: int, trials: int, other_count: int, other_trials: int, confidence: float = CONFIDENCE
) -> bool:
    """Can two shares be samples of one probability? Fisher's exact test at the level
    1 − confidence."""
    from scipy import stats

    table = [[count, trials - count], [other_count, other_trials - other_count]]
    return bool(stats.fisher_exact(table).pvalue >= 1 - confidence)
