"""What new statistics of batch norms do for averaged networks."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import counted, ink, note, percent

LOOKS = {
    "as_trained": ("before", "as trained", {"color": "C1", "marker": "s", "ls": "--"}),
    "matched": ("after", "matched", {"color": "C0", "marker": "o", "ls": "-"}),
    "repaired": ("repaired", "matched, repaired", {"color": "C2", "marker": "^", "ls": "-."}),
}
"""Ending of the column, name and look of each path."""


class RepairedPaths(Figure):
    """(a) Loss on the straight path between the widest networks, after their neurons are matched,
    with averaged running statistics and with those that the training samples make at each point;
    thin lines are pairs, thick ones their mean. (b) Mean barrier over pairs against the width of
    the hidden layers; bars are 99 % intervals, cut off at the lower edge. After Jordan et al. 2023,
    Fig. 1."""

    needs = ("neuron_matching",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["neuron_matching"].sortby("width")
        widest = found.isel(configuration=-1)
        figure, (ways, barriers) = plt.subplots(1, 2, figsize=(6.75, 2.8))
        _ways(ways, widest)
        _barriers(barriers, found)
        left = float(widest["barrier_repaired"] / widest["barrier_after"])
        figure.suptitle(
            f"New statistics leave {percent(left)} of the barrier between matched networks of width"
            f" {int(widest['width'])}", fontsize=8,
        )  # fmt: skip
        pairs = counted(int(widest["pairs"]), "pair")
        note(figure, "(a) thick: means", f"(b) 99 % intervals over {pairs}, cut off below")
        return figure


def _ways(axis, widest) -> None:
    t = widest["t"].values
    for path in ("matched", "repaired"):
        _, name, look = LOOKS[path]
        losses = widest["loss"].sel(path=path).values
        losses = losses[np.isfinite(losses).all(axis=1)]
        style = {"color": look["color"], "ls": look["ls"]}
        axis.plot(t, losses.T, lw=0.4, alpha=0.6, **style)
        middle = losses.mean(axis=0)
        axis.plot(t, middle, lw=1.6, **style)
        half = len(t) // 2
        axis.annotate(
            name, (t[half], losses[:, half].max()), (0, 4), textcoords="offset points",
            color=ink(look["color"]), fontsize=7, ha="center",
        )  # fmt: skip
    axis.set(xlabel="place on the way", ylabel="loss", xlim=(0, 1), xticks=(0, 0.5, 1))
    axis.set_ylim(bottom=0)
    axis.set_title(f"(a) width {int(widest['width'])}", fontsize=8, loc="left")


def _barriers(axis, found) -> None:
    width = found["width"].values
    lowest = np.inf
    for column, name, look in LOOKS.values():
        value, low, high = (found[f"barrier_{column}{end}"].values for end in ("", "_low", "_high"))
        bars = [value - np.maximum(low, 1e-12), high - value]
        axis.errorbar(width, value, bars, ms=3.5, lw=1, capsize=2, **look)
        axis.annotate(
            name, (width[-1], value[-1]), (6, 0), textcoords="offset points", va="center",
            color=ink(look["color"]), fontsize=7,
        )  # fmt: skip
        lowest = min(lowest, value.min())
    axis.set(xscale="log", yscale="log", xlabel="width", ylabel="barrier of the loss")
    axis.set_ylim(bottom=lowest / 3)
    axis.set_xlim(right=width[-1] * (width[-1] / width[0]) ** 0.5)
    axis.set_xticks(width, [f"{int(w)}" for w in width], fontsize=7)
    axis.minorticks_off()
    axis.set_title("(b) all widths", fontsize=8, loc="left")


@nnflow.hookimpl
def nnflow_register(register):
    register("repaired_paths", RepairedPaths)
