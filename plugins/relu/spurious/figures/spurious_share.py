"""The share of spurious runs against the width, beside the published one."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ._published import published_points

WIDTH = 3.3
"""Inches per panel."""
OFFSET = 0.13
"""How far ours and the published points stand left and right of k, so that both are seen."""


class SpuriousShare(Figure):
    """Share of the runs that end in spurious minima, against the number k of teacher neurons,
    one panel per excess n − k of students. Bars are exact binomial 99 % intervals; open diamonds
    are the published shares, also of points that this scale leaves out."""

    needs = ("summary",)

    column: str = "spurious_share"
    """The summary's column; the study's claims about it are the published points."""

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        ours = _measured(results, self.column)
        published = published_points(results, self.column)
        panels = sorted({excess for excess, *_ in [*ours, *published]})
        figure, axes = plt.subplots(
            1, len(panels), figsize=(WIDTH * len(panels), 2.9), sharey=True, squeeze=False
        )
        for axis, excess in zip(axes[0], panels, strict=True):
            _points(axis, ours, excess, -OFFSET, "measured here", fmt="o", color="C0")
            _points(axis, published, excess, OFFSET, "published", fmt="D", mfc="white", color="C3")
            axis.set_title("n = k" if excess == 0 else f"n = k {'+−'[excess < 0]} {abs(excess)}")
            axis.set_xlabel("teacher neurons k")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
            axis.grid(axis="y", linewidth=0.4)
        axes[0, 0].set_ylabel("share of spurious runs")
        axes[0, 0].set_ylim(-0.02, 1.02)
        axes[0, 0].legend(loc="upper left")
        return figure


def _measured(results, column: str) -> list[tuple[int, int, float, float, float]]:
    """(n − k, k, share, low, high) of this study's points."""
    summary = results["summary"]
    rows = []
    for configuration in results.configurations:
        at = summary.sel(configuration=configuration.label)
        values = (float(at[f"{column}{end}"]) for end in ("", "_low", "_high"))
        k, n = (int(configuration.parameters[name]) for name in "kn")
        rows.append((n - k, k, *values))
    return rows


def _points(axis, rows, excess: int, offset: float, label: str, **style) -> None:
    """One series of one panel."""
    shown = np.array([row[1:] for row in rows if row[0] == excess]).reshape(-1, 4)
    k, value, low, high = shown.T
    axis.errorbar(
        k + offset, value, [value - low, high - value], label=label,
        markersize=4, linewidth=0, elinewidth=1, capsize=2, **style,
    )  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("spurious_share", SpuriousShare)
