"""The loss of every family of critical points against the width."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, flag_mask

SMALLEST, LARGEST = 8, 160
"""Areas of the marks of a single run and of all runs of a point, in points squared."""
NAMED = 4
"""Isotropies that have a colour of their own, the most frequent ones."""


class Census(Figure):
    """Loss of all families of critical points that are not global against the number k of
    teacher neurons, one panel per excess n − k of students with any. The area of a mark grows with the
    share of the runs that ended in the family; colours: how many sets of neurons its isotropy
    group permutes, and how many neurons are turned against their teachers. Crosses: saddles.
    Lines: the families S_(k−t) × S_t solved directly, without training; dashed: all neurons turned
    (type A), which gradient descent does not find."""

    needs = ("census", "critical_points")

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        found = results["census"]
        found = found.isel(case=np.flatnonzero(flag_mask(found["is_global"], "no")))
        runs = {point.label: point.experiment.runs for point in results.points}
        share = found["count"].values / [runs[where] for where in found["where"].values.tolist()]
        names = np.array([_name(*pair) for pair in zip(
            found["isotropy"].values.tolist(), found["turned"].values.tolist(), strict=True
        )])  # fmt: skip
        excess = found["n"].values - found["k"].values
        panels = sorted(set(excess.tolist())) or [0]
        figure, axes = plt.subplots(
            1, len(panels), figsize=(4.3 * len(panels), 3.9), sharey=True, squeeze=False
        )
        colors = _colors(names, share)
        for axis, more in zip(axes[0], panels, strict=True):
            if more == 0:
                _lines(axis, results["census"])
            some = excess == more
            _marks(axis, found.isel(case=np.flatnonzero(some)), share[some], names[some], colors)
            axis.set_title("n = k" if more == 0 else f"n = k {'+−'[more < 0]} {abs(more)}")
            axis.set_xlabel("teacher neurons k")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.grid(axis="y", linewidth=0.4)
        axes[0, 0].set_ylabel("loss F")
        handles = [
            plt.Line2D([], [], marker="o", linewidth=0, color=color, label=name)
            for name, color in colors.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=4, fontsize=8)
        return figure


def _name(isotropy: str, turned: int) -> str:
    sets = isotropy.count("S")
    if not sets:
        return "not isolated"
    return f"{sets} set{'s' * (sets > 1)}, {turned} turned"


def _colors(names: np.ndarray, share: np.ndarray) -> dict[str, str]:
    """Colours of the most frequent kinds of isotropy; the others are grey together."""
    total = {name: share[names == name].sum() for name in dict.fromkeys(names.tolist())}
    order = sorted(total, key=lambda name: -total[name])
    named = {name: f"C{i}" for i, name in enumerate(sorted(order[:NAMED]))}
    return named | ({"others": "0.6"} if len(order) > NAMED else {})


def _lines(axis, found) -> None:
    """The families solved directly."""
    k, turned = found["direct_k"].values, found["direct_turned"].values
    loss = found["direct_loss"].values
    groups = {f"t = {t}": (turned == t) & (k > t) for t in np.unique(turned[turned < k])}
    for name, some in {**groups, "t = k": turned == k}.items():
        if not some.any():
            continue
        dashes = "--" if name == "t = k" else "-"
        style = {"marker": "|", "markersize": 4, "color": "0.3", "linewidth": 0.8, "zorder": 0}
        axis.plot(k[some], loss[some], dashes, **style)
        axis.annotate(
            name, (k[some][-1], loss[some][-1]), xytext=(8, 0), textcoords="offset points",
            fontsize=7, color="0.3", va="center", annotation_clip=False,
        )  # fmt: skip


def _marks(axis, found, share, names, colors) -> None:
    """One panel's families."""
    saddle = flag_mask(found["kind"], "saddle")
    color = np.array([colors.get(name, colors.get("others")) for name in names.tolist()])
    area = SMALLEST + (LARGEST - SMALLEST) * share
    for mask, style in (
        (~saddle, {"marker": "o", "edgecolors": "white", "linewidths": 0.4}),
        (saddle, {"marker": "x", "linewidths": 1}),
    ):
        axis.scatter(
            found["k"].values[mask], found["loss"].values[mask], s=area[mask],
            c=list(color[mask]), alpha=0.9, **style,
        )  # fmt: skip


@nnflow.hookimpl
def nnflow_register_figures(register):
    register("census", Census)
