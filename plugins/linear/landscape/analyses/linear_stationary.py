"""Stationary points of linear networks that a search found, by the ranks of their matrices."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, flag_mask

from ..._matrices import matrices, off_values


class LinearStationary(Analysis):
    """Is every nondegenerate stationary point global? Counts over the ends of the runs.

    Yarotsky, "Optimization of neural networks": where all W_k are invertible, ∇L = 0 forces the
    residual to vanish, so that the point is global, be it a minimum or not.
    """

    needs = ("critical_points",)
    models = ("linear_network",)
    columns = {
        "stationary": "runs that ended at a stationary point",
        "nondegenerate": "stationary points at which all matrices have full rank",
        "nondegenerate_not_global": "of these, points that are not global",
        "degenerate_not_global": "stationary points with a matrix of lower rank, not global",
        "stationary_off_values": "stationary points whose loss is no critical value ½Σs²",
    }

    within: PositiveFloat = 1e-7
    """A loss this near to a critical value is that value."""
    full_rank_above: PositiveFloat = 1e-3
    """A matrix has full rank when its singular values exceed this: at a distance δ from a
    degenerate saddle of three matrices the gradient is of order δ² only, so that runs with
    singular values of 1e-5 still count as stationary."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            table.row(configuration, **self._row(configuration.settings.model, critical))
        return table.dataset()

    def _row(self, model, critical) -> dict[str, float]:
        stationary = ~flag_mask(critical["kind"], "not_critical")
        points = critical.isel(run=np.flatnonzero(stationary))
        full = np.ones(points.sizes["run"], dtype=bool)
        for layer in matrices(model, points):
            full &= np.linalg.svd(layer, compute_uv=False)[:, -1] > self.full_rank_above
        loss = points["loss"].values
        elsewhere = loss - model.infimum() > self.within
        return {
            "stationary": stationary.sum(),
            "nondegenerate": full.sum(),
            "nondegenerate_not_global": (full & elsewhere).sum(),
            "degenerate_not_global": (~full & elsewhere).sum(),
            "stationary_off_values": off_values(model, loss, self.within),
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_stationary", LinearStationary)
