"""Intervals: every share and every mean carries one."""

from __future__ import annotations

import numpy as np

CONFIDENCE = 0.99


# scipy.special, not scipy.stats, whose import costs half a second of every job


def share(count: int, trials: int, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """count/trials and its exact binomial (Clopper–Pearson) interval; NaN for no trials."""
    from scipy.special import betaincinv

    if trials == 0:
        return np.nan, np.nan, np.nan
    tail, missed = (1 - confidence) / 2, trials - count
    low = float(betaincinv(count, missed + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, missed, 1 - tail)) if missed else 1.0
    return count / trials, low, high


def share_of(which: np.ndarray) -> tuple[float, float, float]:
    """The share of True among `which`, bool (trial,), with its interval: see `share`."""
    return share(int(which.sum()), len(which))


def mean(values: np.ndarray, confidence: float = CONFIDENCE) -> tuple[float, float, float]:
    """Mean of independent values and its Student interval; the interval of a single value
    is the whole line, no values give NaN."""
    from scipy.special import stdtrit

    values = np.asarray(values, dtype=float)
    if values.size == 0:
        return np.nan, np.nan, np.nan
    average = float(values.mean())
    if values.size == 1:
        return average, -np.inf, np.inf
    error = values.std(ddof=1) / np.sqrt(values.size)
    half = float(stdtrit(values.size - 1, (1 + confidence) / 2) * error)
    return average, average - half, average + half


def two_binomials_agree(
    count: int, trials: int, other_count: int, other_trials: int, confidence: float = CONFIDENCE
) -> bool:
    """Can two shares be samples of one probability? Fisher's exact test at the level
    1 − confidence."""
    from scipy import stats

    table = [[count, trials - count], [other_count, other_trials - other_count]]
    return bool(stats.fisher_exact(table).pvalue >= 1 - confidence)
