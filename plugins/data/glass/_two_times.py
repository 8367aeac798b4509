"""Displacements between two times of a trajectory."""

from __future__ import annotations

import numpy as np


def kept_weights(trained) -> np.ndarray:
    """(run, kept step, weight)."""
    names = [name for name in trained.data_vars if name.startswith("kept_")]
    parts = [trained[name].values for name in names]
    return np.concatenate([part.reshape(*part.shape[:2], -1) for part in parts], axis=2)


def displacement(weights: np.ndarray, steps: np.ndarray, waiting: float):
    """Δ(t_w, t_w + t) = ‖w(t_w + t) − w(t_w)‖²/‖w(t_w)‖², (run, lag), and the lags t > 0, for the
    kept step t_w that is nearest to `waiting`."""
    at = int(np.abs(steps - waiting).argmin())
    start = weights[:, at : at + 1]
    away = ((weights[:, at + 1 :] - start) ** 2).sum(axis=2) / (start**2).sum(axis=2)
    return away, steps[at + 1 :] - steps[at]


def at_lag(away: np.ndarray, lags: np.ndarray, lag: float) -> np.ndarray:
    """Δ at a lag, by interpolation of ln Δ in ln t; NaN beyond the lags and where Δ is 0."""
    if not lags[0] <= lag <= lags[-1]:
        return np.full(len(away), np.nan)
    with np.errstate(divide="ignore"):
        logs = np.log(away)
    found = np.array([np.interp(np.log(lag), np.log(lags), row) for row in logs])
    return np.where(np.isfinite(found), np.exp(found), np.nan)


def ages(delta, early: float, late: float, lag: float) -> tuple[tuple, tuple]:
    """Two pairs of displacements, each after the waiting times `late` and `early`: over one `lag`,
    and over lags that are as long as the waiting times. delta: (waiting, lag) ↦ Δ."""
    return (delta(late, lag), delta(early, lag)), (delta(late, late), delta(early, early))
