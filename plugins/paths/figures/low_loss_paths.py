"""Which paths between networks lose least."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import counted, ink, note

NAMES = {
    "linear": "straight",
    "arc_zero": "arc about 0",
    "arc": "arc about mean",
    "linear_matched": "matched, straight",
    "arc_matched": "matched, arc",
    "adjusted": "straight, adjusted",
    "bezier": "Bézier curve",
    "chain": "chain",
}
LOOKS = {
    "linear": ("C1", "--", "straight"),
    "arc": ("C1", "-", "arc"),
    "linear_matched": ("C0", "--", "matched, straight"),
    "arc_matched": ("C0", "-", "matched, arc"),
}
OFFSETS = {"linear": -9, "linear_matched": -9}
"""Points from the middle of a curve to its label, where 3 would not do."""


class LowLossPaths(Figure):
    """(a) Lowest accuracy on held-out samples on each path, mean over pairs with 99 % intervals, at
    the widest networks; the line is the accuracy of the ends. (b) Covariance of the neurons along
    the path, relative to the ends, at the widest networks; grey: ½ and 1, which the straight path
    and the arc have at the middle for independent ends. After Anokhin & Yarotsky 2020, Table 1."""

    needs = ("low_loss_paths",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["low_loss_paths"]
        part = found.isel(configuration=int(found["width"].values.argmax()))
        figure, (worst, spreads) = plt.subplots(1, 2, figsize=(6.75, 2.8), width_ratios=[1.25, 1])
        _worst(worst, part)
        _spreads(spreads, part)
        kept = [float(part[f"spread_{name}"]) for name in ("linear", "arc", "arc_matched")]
        figure.suptitle(
            f"Straight paths squeeze the neurons' covariance to {kept[0]:.2f}, arcs keep"
            f" {kept[1]:.2f}, and {kept[2]:.2f} once matched", fontsize=8,
        )  # fmt: skip
        note(figure, f"(a) 99 % intervals over {counted(int(part['pairs']), 'pair')}, cut at 100 %")
        return figure


def _worst(axis, part) -> None:
    names = {way: name for way, name in NAMES.items() if f"{way}_test" in part}
    places = np.arange(len(names))[::-1]
    value, low, high = (
        np.array([100 * float(part[f"{way}_test{end}"]) for way in names])
        for end in ("", "_low", "_high")
    )
    axis.errorbar(
        value, places, xerr=[value - low, np.minimum(high, 100) - value],
        fmt="o", ms=4, lw=1, capsize=2, color="C0",
    )  # fmt: skip
    ends = 100 * float(part["ends_test"])
    axis.axvline(ends, color="0.5", lw=0.8, ls=":")
    axis.annotate(
        "ends", (ends, places[0] + 0.4), (-3, 0), textcoords="offset points", fontsize=7,
        ha="right", color="0.35",
    )  # fmt: skip
    axis.set_ylim(-0.6, len(names) - 0.2)
    axis.set_yticks(places, list(names.values()), fontsize=7)
    axis.set_xlabel("lowest accuracy on the way, held out (%)", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    axis.set_title(f"(a) {int(part['width'])} hidden neurons", fontsize=8, loc="left")


def _spreads(axis, part) -> None:
    t = part["t"].values
    for level in (0.5, 1):
        axis.axhline(level, color="0.75", lw=0.8, zorder=0)
    middle = len(t) // 2
    for name, (color, style, label) in LOOKS.items():
        values = part["spread"].sel(joined=name).values
        axis.plot(t, values, color=color, ls=style, lw=1.3)
        axis.annotate(
            label, (t[middle], values[middle]), (0, OFFSETS.get(name, 3)),
            textcoords="offset points", ha="center", fontsize=7, color=ink(color),
        )  # fmt: skip
    axis.set(xlim=(0, 1), xticks=(0, 0.5, 1))
    axis.set_ylim(0, 1.15 * float(part["spread"].max()))
    axis.set_xlabel("place on the way $t$", fontsize=8)
    axis.set_ylabel("covariance of neurons", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.set_title("(b) squeezed, kept, inflated", fontsize=8, loc="left")


@nnflow.hookimpl
def nnflow_register(register):
    register("low_loss_paths", LowLossPaths)
