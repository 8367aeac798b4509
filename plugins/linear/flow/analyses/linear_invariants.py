"""What the gradient flow of a linear network conserves, and gradient descent nearly does."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis

from ..._matrices import by_rate, table

COLUMNS = {
    "drift": "largest drift of an entry of W_{j+1}ᵀW_{j+1} − W_jW_jᵀ",
    "norm_drift": "largest drift of ‖W_j‖² − ‖W_K‖²",
    "median_drift": "median over runs of their largest drift of an entry",
    "drift_slope": "slope of log(drift) against log(step), mean over runs",
}

ROUNDING = 1e-12
"""Drifts that steps do not explain; from balanced starts, which stay balanced, they are 1e-14."""


class LinearInvariants(Analysis):
    """Drift of the invariants W_{j+1}ᵀW_{j+1} − W_jW_jᵀ along each run, from its recorded steps.

    Where points differ in the rate of gradient descent alone and have common starts, the slope
    of log(drift) against log(rate) is fitted for each run, if all have drifted beyond rounding.
    """

    needs = ("training",)

    def compute(self, results):
        import xarray as xr

        rows, drifts = {}, {}
        for configuration, trained in results.each("training"):
            if "trace_imbalance" not in trained:
                rows[configuration.label] = {}
                continue
            drift = _drift(trained["trace_imbalance"].values)
            norms = trained["trace_squared_norm"].values
            norm_drift = _drift(norms[..., :-1] - norms[..., -1:])
            drifts[configuration.label] = drift
            rows[configuration.label] = {
                "drift": drift.max(),
                "norm_drift": norm_drift.max(),
                "median_drift": np.median(drift),
            }
        for group in by_rate(results.configurations):
            if len(group) > 1 and all(
                (drifts[configuration.label] > ROUNDING).all() for configuration in group
            ):
                slope = _slopes(group, drifts)
                for configuration in group:
                    ends = ("", "_low", "_high")
                    rows[configuration.label] |= {
                        f"drift_slope{end}": value
                        for end, value in zip(ends, nnflow.mean(slope), strict=True)
                    }
        dataset = table(rows, COLUMNS)
        runs = [
            xr.Dataset({"run_drift": ("run", drift), "where": ("run", [label] * len(drift))})
            for label, drift in drifts.items()
        ]
        return dataset.merge(xr.concat(runs, "run")) if runs else dataset


def _drift(values: np.ndarray) -> np.ndarray:
    """Largest |I(t) − I(0)| of each run, (run,); values: (run, trace_step, number)."""
    return np.nanmax(np.abs(values - values[:, :1]), axis=(1, 2))


def _slopes(group, drifts) -> np.ndarray:
    """Least-squares slope of each run, (run,)."""
    rate = np.log([configuration.settings.optimizer.rate for configuration in group])
    drift = np.log([drifts[configuration.label] for configuration in group])
    away = rate - rate.mean()
    return (away[:, None] * drift).sum(axis=0) / (away**2).sum()


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_invariants", LinearInvariants)
