"""The critical points of deep linear networks: value, index and prediction."""

from __future__ import annotations

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Figure

from ....general.figures._names import configuration_name
from ....general.figures._page import HALF, WIDE, lettered, note


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
        from matplotlib.ticker import MaxNLocator

        found = results["linear_critical_points"]
        there = list(dict.fromkeys(found["where"].values.tolist()))
        labels = [label for label in self.configurations if label in there] or there
        across = min(2, len(labels))
        down = -(-len(labels) // across)
        size = (WIDE if across > 1 else HALF, min(0.9 + 1.9 * down, 6.5))
        figure, axes = plt.subplots(down, across, figsize=size, squeeze=False, sharex=True)
        for axis in axes.flat[len(labels) :]:
            axis.set_axis_off()
        for axis, label in zip(axes.flat, labels, strict=False):
            _panel(axis, found.isel(run=np.flatnonzero(found["where"].values == label)))
            axis.yaxis.set_major_locator(MaxNLocator(integer=True))
        lettered(axes.flat[: len(labels)], *map(configuration_name, labels))
        for axis in axes[-1]:
            axis.set_xlabel("loss; dotted: the values ½Σs²")
        for axis in axes[:, 0]:
            axis.set_ylabel("Hessian index")
        figure.legend(*axes.flat[-1].get_legend_handles_labels(), loc="outside lower center",
                      ncols=4)  # fmt: skip
        shown = found.isel(run=np.flatnonzero(np.isin(found["where"].values, labels)))
        right = int((shown["index"] == shown["predicted_index"]).sum())
        bad = int(_bad(shown).sum())
        figure.suptitle(
            f"Predicted index = measured index at {right:,} of {shown.sizes['run']:,} critical"
            f" points; {bad} bad saddles"
        )
        note(
            figure, r"$r_Z = \mathrm{rank}\,W_{K-1}\cdots W_2$",
            r"$r_R = \mathrm{rank}\,W_K\cdots W_2$", "a bad saddle has no negative eigenvalue",
        )  # fmt: skip
        return figure


def _bad(found) -> np.ndarray:
    """Points that are not global and yet have no negative eigenvalue."""
    return (found["index"].values == 0) & (found["value"].values > 0)


def _panel(axis, found) -> None:
    value, index = found["loss"].values, found["index"].values
    wide, bad = found["rank_Z"].values > found["rank_R"].values, _bad(found)
    for level in np.unique(np.round(found["value"].values, 9)):
        axis.axvline(level, color="0.75", lw=0.7, ls=":", zorder=0)
    axis.scatter(
        found["value"], found["predicted_index"], s=50, facecolor="none", edgecolor="0.3",
        lw=0.8, label="predicted",
    )  # fmt: skip
    for mask, style in (
        (~wide & ~bad, {"color": "C0", "label": "measured, $r_Z = r_R$"}),
        (wide, {"color": "C1", "marker": "s", "label": "measured, $r_Z > r_R$"}),
        (bad, {"color": "C3", "marker": "X", "label": "bad saddle"}),
    ):
        axis.scatter(value[mask], index[mask], s=16, **style)


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_critical_points", LinearCriticalPoints)
