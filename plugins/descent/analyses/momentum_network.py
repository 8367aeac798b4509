"""Momentum on a network: which rates and momenta can hold which minimum."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, share

from .._recursions import BORDERS

METHODS = {"heavy_ball": "heavy_ball", "delayed_momentum": "delayed", "nesterov": "nesterov"}
"""Optimizers, by the names of their recursions."""
SLACK = 1e-6
"""Of αλ at a border, relative."""


class MomentumNetwork(Analysis):
    """Near a minimum with largest curvature λ a recursion can settle only where αλ is below its
    border for quadratics: 2(1 + β) for the heavy ball, 2(1 + β)/(1 + 2β) for Nesterov's,
    1 − β as printed. So no run that converged lies above the border of its own end.

    `rate` and `momentum` have to vary; `end_loss` (configuration, rate, momentum) is the least loss
    of the runs that converged, NaN where none did, and `border_curvature` the λ of the end of the
    run with the smallest rate and momentum, with which the border can be drawn over the map.
    """

    needs = ("training", "objective")
    columns = {
        "converged_share": "share of runs that converged",
        "above_border": "share of them that lie above the border of their own end",
        "highest": "largest αλ/border of a run that converged",
        "border_curvature": "largest curvature at the end of the first run that converged",
    }

    def compute(self, results):
        import xarray as xr

        table, maps = Table(results, self.columns), []
        for configuration, trained in results.each("training"):
            method = METHODS[configuration.settings.optimizer.name]
            settled = flag_mask(trained["status"], "converged")
            table.row(
                configuration,
                **settled_below(
                    settled, trained["rate"].values, trained["momentum"].values,
                    highest_curvature(results.objective(configuration), trained, settled),
                    BORDERS[method],
                ),
            )  # fmt: skip
            grid = configuration.grid
            losses = np.where(settled, trained["loss"].values, np.inf).reshape(grid.shape)
            least = losses.min(axis=-1)
            maps.append(np.where(np.isinf(least), np.nan, least))
        axes = list(grid.dimensions())[:-1]
        values = {name: numbers for name, (numbers, _) in grid.dimensions().items()}
        return table.dataset().assign(
            end_loss=xr.DataArray(
                np.array(maps), {name: values[name] for name in axes}, ("configuration", *axes),
                attrs={"long_name": "least loss of the runs that converged"},
            )
        )  # fmt: skip


def highest_curvature(loss, trained, settled: np.ndarray) -> np.ndarray:
    """The largest eigenvalue of the Hessian at the ends of the settled runs, (run,); NaN for the
    others."""
    ends = trained["w"].values.reshape(len(settled), -1)
    highest = np.full(len(settled), np.nan)
    highest[settled] = np.linalg.eigvalsh(loss.hessian(ends[settled]))[:, -1]
    return highest


def settled_below(settled, rate, momentum, curvature, border) -> dict:
    """Where the runs that converged lie against the border of their own ends. All (run,)."""
    relative = rate * curvature / border(momentum)
    above = settled & (relative > 1 + SLACK)
    first = int(np.lexsort((momentum, rate, ~settled))[0])
    return {
        "converged_share": share(int(settled.sum()), len(settled)),
        "above_border": share(int(above.sum()), int(settled.sum())),
        "highest": float(relative[settled].max()) if settled.any() else np.nan,
        "border_curvature": float(curvature[first]) if settled.any() else np.nan,
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("momentum_network", MomentumNetwork)
