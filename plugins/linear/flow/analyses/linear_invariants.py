"""What the gradient flow of a linear network conserves, and gradient descent nearly does."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis

from ..._matrices import slopes_in_rate

ROUNDING = 1e-12
"""Drifts that steps do not explain; from balanced starts, which stay balanced, they are 1e-14."""


class LinearInvariants(Analysis):
    """Drift of the invariants W_{j+1}ᵀW_{j+1} − W_jW_jᵀ along each run, from its recorded steps.

    Where configurations differ in the rate of gradient descent alone and have common starts, the
    slope of log(drift) against log(rate) is fitted for each run, if all have drifted beyond
    rounding. Per run: `run_drift`, with the configuration's label in `where`.
    """

    needs = ("training",)
    models = ("linear_network",)
    columns = {
        "drift": "largest drift of an entry of W_{j+1}ᵀW_{j+1} − W_jW_jᵀ",
        "norm_drift": "largest drift of ‖W_j‖² − ‖W_K‖²",
        "median_drift": "median over runs of their largest drift of an entry",
        "drift_slope": "slope of log(drift) against log(step), mean over runs",
    }

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        drifts = {}
        for configuration, trained in results.each("training"):
            if "trace_imbalance" not in trained:
                continue
            drift = _drift(trained["trace_imbalance"].values)
            norms = trained["trace_squared_norm"].values
            norm_drift = _drift(norms[..., :-1] - norms[..., -1:])
            table.row(
                configuration,
                drift=drift.max(),
                norm_drift=norm_drift.max(),
                median_drift=np.median(drift),
            )
            drifts[configuration.label] = drift
        steps = {label: drift for label, drift in drifts.items() if (drift > ROUNDING).all()}
        for configuration, slope in slopes_in_rate(results.configurations, steps):
            table.row(configuration, drift_slope=nnflow.mean(slope))
        return table.dataset().assign(_by_run(drifts))


def _by_run(drifts: dict[str, np.ndarray]) -> dict[str, tuple]:
    """The drifts of all runs one after another, and the labels beside them."""
    if not drifts:
        return {}
    where = [label for label, drift in drifts.items() for _ in drift]
    return {"run_drift": ("run", np.concatenate(list(drifts.values()))), "where": ("run", where)}


def _drift(values: np.ndarray) -> np.ndarray:
    """Largest |I(t) − I(0)| of each run, (run,); values: (run, trace_step, number)."""
    return np.nanmax(np.abs(values - values[:, :1]), axis=(1, 2))


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_invariants", LinearInvariants)
