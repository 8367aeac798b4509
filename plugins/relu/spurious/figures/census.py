"""The loss of every family of critical points against the width."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, flag_mask

SMALLEST, LARGEST = 10, 160
"""Areas of the marks of a single run and of all runs of a configuration, in points squared."""
MARKERS = {"two sets": "o", "three sets": "s", "other": "D", "saddle": "X"}
"""By the number of symmetric groups in the isotropy, and for saddles."""


class Census(Figure):
    """Loss of all families of critical points that are not global against the number k of
    teacher neurons, one panel per excess n − k of students that has any. Colours: how many
    neurons t are turned against their teachers. Marks: how many sets of neurons the isotropy
    group permutes; their areas grow with the share of the runs. Lines and dashes: the families
    S_(k−t) × S_t solved directly, without training; solid: the other neurons lean on the
    turned ones' inputs; dashed: they don't; dotted: all are turned."""

    needs = ("census",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.colors import Normalize
        from matplotlib.ticker import MaxNLocator

        census = results["census"]
        cases = census.isel(case=np.flatnonzero(flag_mask(census["is_global"], "no")))
        runs = {
            configuration.label: configuration.settings.runs
            for configuration in results.configurations
        }
        share = cases["count"].values / [runs[where] for where in cases["where"].values.tolist()]
        excess = cases["n"].values - cases["k"].values
        panels = sorted(set(excess.tolist())) or [0]
        scale = Normalize(1, max(2, cases["turned"].values.max(initial=2)))
        colors = plt.get_cmap("viridis_r")
        figure, axes = plt.subplots(
            1, len(panels), figsize=(4.3 * len(panels) + 0.9, 3.9), sharey=True, squeeze=False
        )
        for axis, more in zip(axes[0], panels, strict=True):
            if more == 0:
                _lines(axis, census, lambda t: colors(scale(t)))
            some = np.flatnonzero(excess == more)
            _marks(axis, cases.isel(case=some), share[some], cmap=colors, norm=scale)
            axis.set_title("n = k" if more == 0 else f"n = k {'+−'[more < 0]} {abs(more)}")
            axis.set_xlabel("teacher neurons k")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes[0, 0].set_ylabel("loss F")
        image = plt.cm.ScalarMappable(scale, colors)
        ticks = MaxNLocator(integer=True)
        figure.colorbar(image, ax=axes, label="turned neurons t", aspect=30, ticks=ticks)
        kinds = set(_kinds(cases).tolist())
        handles = [
            plt.Line2D([], [], marker=marker, linewidth=0, color="0.3", label=name)
            for name, marker in MARKERS.items()
            if name in kinds
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
        return figure


def _lines(axis, cases, color) -> None:
    """The families solved directly; lines join those of the same t, and those with t = k."""
    k, turned = cases["direct_k"].values, cases["direct_turned"].values
    loss, leaning = cases["direct_loss"].values, cases["direct_leaning"].values
    style = {"linewidth": 0, "marker": "_", "markersize": 6, "zorder": 0}
    for one in range(len(k)):
        axis.plot(k[one], loss[one], color=color(turned[one]), **style)
    every = turned == k
    for number, dashes, which in (
        (turned, "-", leaning), (turned, "--", ~leaning & ~every), (k - turned, ":", every),
    ):  # fmt: skip
        for value in np.unique(number[which]):
            some = which & (number == value)
            axis.plot(k[some], loss[some], dashes, color="0.75", linewidth=0.7, zorder=-1)


def _kinds(cases) -> np.ndarray:
    """The keys of MARKERS."""
    saddle = flag_mask(cases["kind"], "saddle")
    sets = [text.count("S") for text in cases["isotropy"].values.tolist()]
    names = [{2: "two sets", 3: "three sets"}.get(count, "other") for count in sets]
    return np.where(saddle, "saddle", np.array(names, dtype=object))


def _marks(axis, cases, share, **style) -> None:
    """One panel's families."""
    kinds = _kinds(cases)
    area = SMALLEST + (LARGEST - SMALLEST) * share
    for kind, marker in MARKERS.items():
        some = kinds == kind
        axis.scatter(
            cases["k"].values[some], cases["loss"].values[some], s=area[some], marker=marker,
            c=cases["turned"].values[some], edgecolors="black", linewidths=0.4, **style,
        )  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("census", Census)
