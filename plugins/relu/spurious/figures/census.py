"""The loss of every family of critical points against the width."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, flag_mask

from ....general.figures._page import HALF, WIDE, counted, lettered, note

SMALLEST, LARGEST = 10, 160
"""Areas of the marks of a single run and of all runs of a configuration, in points squared."""
MARKERS = {"two sets of neurons": "o", "three sets": "s", "other": "D", "saddle": "X"}
"""By the number of symmetric groups in the isotropy, and for saddles."""


class Census(Figure):
    """Loss of all families of critical points that are not global against the number k of
    teacher neurons, one panel per excess n − k of students that has any. Colours: how many
    neurons t are turned against their teachers. Marks: how many sets of neurons the isotropy
    group permutes; their areas grow with the share of the runs. Lines and ticks: the families
    S_(k−t) × S_t solved directly, without training; solid: the other neurons lean on the
    turned ones' inputs; dashed: they don't; dotted: all are turned."""

    needs = ("census",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.colors import BoundaryNorm
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
        both = [*cases["turned"].values.tolist(), *census["direct_turned"].values.tolist(), 2]
        most = int(max(both))
        colors = plt.get_cmap("viridis_r", most)
        scale = BoundaryNorm(np.arange(0.5, most + 1), most)  # one colour for each t
        wide = WIDE if len(panels) > 1 else HALF
        figure, axes = plt.subplots(1, len(panels), figsize=(wide, 3.6), sharey=True, squeeze=False)
        for axis, more in zip(axes[0], panels, strict=True):
            if more == 0:
                _lines(axis, census, lambda t: colors(scale(t)))
            some = np.flatnonzero(excess == more)
            _marks(axis, cases.isel(case=some), share[some], cmap=colors, norm=scale)
            axis.set_xlabel("teacher neurons k")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        names = ["n = k" if m == 0 else f"n = k {'+−'[m < 0]} {abs(m)}" for m in panels]
        lettered(axes[0], *(names if len(panels) > 1 else []))
        axes[0, 0].set_ylabel("loss F")
        image = plt.cm.ScalarMappable(scale, colors)
        figure.colorbar(
            image, ax=axes, label="turned neurons t", aspect=30, ticks=range(1, most + 1)
        ).minorticks_off()
        figure.legend(handles=_key(cases), loc="outside lower center", ncols=2)
        total = cases.sizes["case"]
        minima = int(flag_mask(cases["kind"], "minimum").sum())
        figure.suptitle(
            f"Above the global minimum runs end at {counted(total, 'family', 'families')},"
            f" {'all' if minima == total else minima} spurious minima"
        )
        known = f"{names[0]} · " if len(panels) == 1 else ""
        note(figure, f"{known}areas grow with the share of the runs")
        return figure


def _key(cases) -> list:
    """What marks and lines mean."""
    from matplotlib.lines import Line2D

    kinds = set(_kinds(cases).tolist())
    marks = [
        Line2D([], [], marker=marker, lw=0, color="0.3", label=f"found: {name}")
        for name, marker in MARKERS.items()
        if name in kinds
    ]
    looks = {
        "solved, the others lean on the turned": "-",
        "solved, the others do not": "--",
        "solved, all are turned": ":",
    }
    lines = [
        Line2D([], [], color="0.6", ls=dashes, lw=0.9, label=text) for text, dashes in looks.items()
    ]
    return [*marks, *lines]


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
    names = [{2: "two sets of neurons", 3: "three sets"}.get(count, "other") for count in sets]
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
