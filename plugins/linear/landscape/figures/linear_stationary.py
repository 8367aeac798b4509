"""Stationary points that a search found, by their loss and the ranks of their matrices."""

from __future__ import annotations

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Figure, flag_mask

FULL_RANK_ABOVE = 1e-3
"""A matrix has full rank when its singular values exceed this, as in the analysis."""


class LinearStationary(Figure):
    """How many runs ended at a stationary point of each loss, and at how many of these all
    matrices have full rank: the latter are global. Ticks: the critical values ½Σs²."""

    needs = ("critical_points",)

    configuration: str | None = Field(None, examples=["widths=5-4-3"])
    """Label of the point to show; null: the study's last."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        label = self.configuration or results.configurations[-1].label
        configuration = results.configuration(label)
        ends = results.at("critical_points", label)
        ends = ends.isel(run=np.flatnonzero(~flag_mask(ends["kind"], "not_critical")))
        full = np.ones(ends.sizes["run"], dtype=bool)
        for name in configuration.settings.model.shapes():
            values = np.linalg.svd(ends[name].values, compute_uv=False)
            full &= values[:, -1] > FULL_RANK_ABOVE
        levels = np.unique(np.round(ends["loss"].values, 6))
        places = np.abs(ends["loss"].values[:, None] - levels).argmin(axis=1)
        figure, axis = plt.subplots(figsize=(4.8, 3.0))
        bottom = np.zeros(len(levels))
        for mask, color, name in ((full, "C2", "full rank"), (~full, "C0", "of lower rank")):
            height = np.bincount(places[mask], minlength=len(levels))
            axis.bar(np.arange(len(levels)), height, bottom=bottom, color=color, label=name)
            bottom += height
        axis.set_xticks(np.arange(len(levels)), [f"{level:g}" for level in levels])
        axis.set(xlabel="loss of the stationary point", ylabel="runs")
        axis.legend(title="matrices")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_stationary", LinearStationary)
