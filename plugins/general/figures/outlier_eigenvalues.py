"""Highest eigenvalues and densities before, during and after training."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ._page import ink, note

STYLES = {
    "before": {"color": "0.5", "marker": "o", "ls": ":"},
    "during": {"color": "C1", "marker": "s", "ls": "--"},
    "after": {"color": "C0", "marker": "D", "ls": "-"},
}
WIDTH, GRID = 0.15, 200
"""Of a density on the scale of asinh(λ/UNIT)."""


class OutlierEigenvalues(Figure):
    """(a) The highest eigenvalues of the first run of the last configuration, descending, before,
    during and after training; a bar marks the widest gap. (b) Density of all its eigenvalues, over
    log scales of both signs. (c) Outliers against classes, means over runs with 99 % intervals; on
    the line there are as many as classes; larger networks of as many classes stand to the right.
    The question of Sagun et al. 2018."""

    needs = ("outlier_eigenvalues",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import LogLocator

        found = results["outlier_eigenvalues"]
        last = found.isel(configuration=-1)
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.8), layout="constrained")
        for time, style in STYLES.items():
            _eigenvalues(axes[0], last.sel(time=time).isel(run=0), time, style)
            _density(axes[1], last.sel(time=time), style)
            _counts(axes[2], found, time, style)
        axes[0].set(xlabel="number", ylabel="eigenvalue", yscale="log")
        axes[1].set(xlabel="eigenvalue", ylabel="density, log scale of λ", yscale="log")
        axes[1].set_ylim(1e-4, 5)
        top = 10.0 ** np.floor(np.log10(np.nanmax(last["density_node"].values)))
        axes[1].set_xticks([-top, -top / 100, 0, top / 100, top])
        axes[1].xaxis.set_major_formatter("{x:g}")
        axes[1].xaxis.set_minor_locator(plt.NullLocator())
        axes[0].yaxis.set_major_formatter("{x:g}")
        axes[0].yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes[0].yaxis.set_minor_locator(plt.NullLocator())
        most = float(found["classes"].max())
        axes[2].plot([0, most + 1], [0, most + 1], color="k", lw=0.7, zorder=0)
        axes[2].text(0.85 * most, 0.92 * most, "as many as classes", fontsize=6.5, ha="right")
        axes[2].set(xlabel="classes C", ylabel="outliers", xlim=(0, most + 2))
        axes[2].set_ylim(bottom=0)
        axes[2].legend(fontsize=6.5, frameon=False, loc="upper left")
        heads = ("(a) highest", "(b) spectrum", "(c) above the gap")
        for axis, head in zip(axes, heads, strict=True):
            axis.set_title(head, loc="left", fontsize=8)
            axis.tick_params(labelsize=7)
            axis.xaxis.label.set_size(8)
            axis.yaxis.label.set_size(8)
        after, low, high = (float(last[f"outliers_after{end}"]) for end in ("", "_low", "_high"))
        figure.suptitle(
            f"After training {after:.1f} ({max(low, 0):.1f} to {high:.1f}) eigenvalues lie above"
            f" the widest gap, with {int(last['classes'])} classes and"
            f" {int(last['weights'])} weights",
            fontsize=8,
        )
        note(figure, "99 % intervals over runs", "bars in (a): the widest gap")
        return figure


def _eigenvalues(axis, part, time, style) -> None:
    values = part["eigenvalue"].values
    values = values[np.isfinite(values) & (values > 0)]
    axis.plot(np.arange(1, len(values) + 1), values, ms=2.5, lw=0.9, label=time, **style)
    gap = int(np.argmax(values[:-1] / values[1:])) + 1
    axis.plot([gap + 0.5] * 2, values[gap - 1 : gap + 1], color=style["color"], lw=2.5, alpha=0.5)
    axis.annotate(
        time, (len(values), values[-1]), (3, 0), textcoords="offset points", fontsize=7,
        va="center", annotation_clip=False, color=ink(style["color"]),
    )  # fmt: skip
    axis.set_xlim(0, len(values) + 6)


def _density(axis, part, style) -> None:
    """Of asinh(λ/unit), which is logarithmic on both sides of 0."""
    nodes, weights = (part[f"density_{n}"].values.reshape(-1) for n in ("node", "weight"))
    known = np.isfinite(nodes)
    unit = 1e-3 * np.abs(nodes[known]).max()
    moved = np.arcsinh(nodes[known] / unit)
    grid = np.linspace(moved.min() - 0.5, moved.max() + 0.5, GRID)
    shares = weights[known] / weights[known].sum()
    heights = np.exp(-(((grid[:, None] - moved) / WIDTH) ** 2) / 2) @ shares
    drawn = {"color": style["color"], "ls": style["ls"], "lw": 0.9}
    axis.plot(unit * np.sinh(grid), heights / (WIDTH * np.sqrt(2 * np.pi)), **drawn)
    axis.set_xscale("symlog", linthresh=unit)


def _counts(axis, found, time, style) -> None:
    middle, low, high = (found[f"outliers_{time}{end}"].values for end in ("", "_low", "_high"))
    known = np.isfinite(low) & np.isfinite(high)
    # there are no fewer than 0
    bars = np.where(known, [middle - np.maximum(low, 0), high - middle], 0)
    classes = found["classes"].values
    earlier = [(classes[:place] == number).sum() for place, number in enumerate(classes)]
    place = classes + 0.6 * np.array(earlier) + {"before": -0.15, "during": 0, "after": 0.15}[time]
    look = {"color": style["color"], "marker": style["marker"]}
    axis.errorbar(place, middle, bars, ls="none", ms=3.5, lw=0.8, capsize=2, label=time, **look)


@nnflow.hookimpl
def nnflow_register(register):
    register("outlier_eigenvalues", OutlierEigenvalues)
