"""Stationary points of linear networks that a search found, by the ranks of their matrices."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, flag_mask

from ..._matrices import matrices, off_values, product


class LinearStationary(Analysis):
    """What is true of the stationary points that a search found? Counts over the ends of the runs.

    Yarotsky, "Optimization of neural networks": where all W_k are invertible, ∇L = 0 forces the
    residual to vanish, so that the point is global, be it a minimum or not. Chitour, Liao &
    Couillet (arXiv:1811.03568) for Y of full rank d_y: the loss is 0 where r_R = rank(W_K ⋯ W₂) is
    d_y, and only there; and all losses are critical values ½Σs².
    """

    needs = ("critical_points",)
    models = ("linear_network",)
    columns = {
        "stationary": "runs that ended at a stationary point",
        "nondegenerate": "stationary points at which all matrices have full rank",
        "nondegenerate_not_global": "of these, points that are not global",
        "degenerate_not_global": "stationary points with a matrix of lower rank, not global",
        "rank_exceptions": "stationary points where one of r_R = d_y and a loss of 0 holds alone",
        "stationary_off_values": "stationary points whose loss is no critical value ½Σs²",
    }

    within: PositiveFloat = 1e-7
    """A loss this near to a critical value is that value."""
    full_rank_above: PositiveFloat = 1e-3
    """Singular values that exceed this count in a rank: at a distance δ from a
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
        layers, runs = matrices(model, points), points.sizes["run"]
        full = np.all([self._rank(layer) == min(layer.shape[1:]) for layer in layers], axis=0)
        rank = self._rank(product(layers[1:], layers[0].shape[1], runs))
        loss = points["loss"].values
        elsewhere = loss - model.infimum() > self.within
        return {
            "stationary": stationary.sum(),
            "nondegenerate": full.sum(),
            "nondegenerate_not_global": (full & elsewhere).sum(),
            "degenerate_not_global": (~full & elsewhere).sum(),
            "rank_exceptions": ((rank == model.widths[-1]) != (loss < self.within)).sum(),
            "stationary_off_values": off_values(model, loss, self.within),
        }

    def _rank(self, matrix: np.ndarray) -> np.ndarray:
        """(run,), of a matrix (run, row, column)."""
        return (np.linalg.svd(matrix, compute_uv=False) > self.full_rank_above).sum(axis=1)


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_stationary", LinearStationary)
