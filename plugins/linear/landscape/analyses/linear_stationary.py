"""Stationary points of linear networks that a search found, by the ranks of their matrices."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, flag_mask

from ..._matrices import critical_values, matrices, table

COLUMNS = {
    "stationary": "runs that ended at a stationary point",
    "nondegenerate": "stationary points at which all matrices have full rank",
    "nondegenerate_not_global": "of these, points that are not global",
    "degenerate_not_global": "stationary points with a matrix of lower rank that are not global",
    "stationary_off_values": "stationary points whose loss is no critical value ½Σs²",
}


class LinearStationary(Analysis):
    """Is every nondegenerate stationary point global? Counts over the ends of the runs.

    Yarotsky, "Optimization of neural networks": where all W_k are invertible, ∇L = 0 forces the
    residual to vanish, so that the point is global, be it a minimum or not.
    """

    needs = ("critical_points",)

    within: PositiveFloat = 1e-7
    """A loss this near to a critical value is that value."""
    full_rank_above: PositiveFloat = 1e-3
    """A matrix has full rank when its singular values exceed this: at a distance δ from a
    degenerate saddle of three matrices the gradient is of order δ² only, so that runs with
    singular values of 1e-5 still count as stationary."""

    def compute(self, results):
        rows = {p.label: self._row(p, ends) for p, ends in results.each("critical_points")}
        return table(rows, COLUMNS)

    def _row(self, configuration, ends) -> dict[str, float]:
        model = configuration.settings.model
        stationary = ~flag_mask(ends["kind"], "not_critical")
        ends = ends.isel(run=np.flatnonzero(stationary))
        full = np.ones(ends.sizes["run"], dtype=bool)
        for layer in matrices(model, ends):
            lowest = np.linalg.svd(layer, compute_uv=False)[:, -1]
            full &= lowest > self.full_rank_above
        elsewhere = ends["loss"].values - model.infimum() > self.within
        known = critical_values(model.modes[1], min(model.widths))
        off = np.abs(ends["loss"].values[:, None] - known).min(axis=1) > self.within
        return {
            "stationary": stationary.sum(),
            "nondegenerate": full.sum(),
            "nondegenerate_not_global": (full & elsewhere).sum(),
            "degenerate_not_global": (~full & elsewhere).sum(),
            "stationary_off_values": off.sum(),
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_stationary", LinearStationary)
