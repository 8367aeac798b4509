"""The critical points of deep linear networks: value, index and prediction."""

from __future__ import annotations

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Figure


class LinearCriticalPoints(Figure):
    """Hessian index against critical value of all constructed points, one panel per depth. Rings:
    the combinatorial prediction; filled: measured, darker where r_Z > r_R, crossed where the
    point is not global and yet has no negative eigenvalue (a bad saddle). Dotted: the values
    ½Σs² over all subsets of the singular values."""

    needs = ("linear_critical_points",)

    configurations: list[str] = Field([], examples=[["widths=5-4-3"]])
    """Labels of the configurations to show, one panel each; empty: all with constructed points."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["linear_critical_points"]
        there = list(dict.fromkeys(found["where"].values.tolist()))
        labels = [label for label in self.configurations if label in there] or there
        across = min(4, len(labels))
        down = -(-len(labels) // across)
        size = (2.3 * across + 0.4, 2.7 * down + 0.4)
        figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, sharex=True)
        for axis in axes.flat[len(labels) :]:
            axis.set_axis_off()
        for axis, label in zip(axes.flat, labels, strict=False):
            _panel(axis, found.isel(run=np.flatnonzero(found["where"].values == label)))
            axis.set_title(label.replace("=", " "), fontsize="medium")
        for axis in axes[-1]:
            axis.set_xlabel("loss")
        for axis in axes[:, 0]:
            axis.set_ylabel("Hessian index")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        return figure


def _panel(axis, found) -> None:
    value, index = found["loss"].values, found["index"].values
    wide = found["rank_Z"].values > found["rank_R"].values
    bad = (index == 0) & (found["value"].values > 0)
    for level in np.unique(np.round(found["value"].values, 9)):
        axis.axvline(level, color="0.8", lw=0.6, ls=":", zorder=0)
    axis.scatter(
        found["value"], found["predicted_index"], s=45, facecolor="none", edgecolor="0.3",
        lw=0.8, label="predicted",
    )  # fmt: skip
    for mask, style in (
        (~wide & ~bad, {"color": "C0", "label": "$r_Z = r_R$"}),
        (wide, {"color": "C3", "label": "$r_Z > r_R$"}),
        (bad, {"color": "black", "marker": "x", "label": "bad saddle"}),
    ):
        axis.scatter(value[mask], index[mask], s=14, **style)


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_critical_points", LinearCriticalPoints)
