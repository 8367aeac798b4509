"""Barriers between networks before and after matching, over widths."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt

import nnflow
from nnflow import Figure

from ...general.figures._page import counted, ink, note, percent

LOOKS = (
    ("as trained", {"color": "C1", "marker": "s", "ls": "--"}),
    ("matched", {"color": "C0", "marker": "o", "ls": "-"}),
)


class NeuronMatching(Figure):
    """(a) Loss on straight paths between trained networks of one hidden layer at the widest width,
    each line a pair, thick lines their mean. (b) Mean barrier over pairs against the width, bars
    99 % intervals. After Ainsworth, Hayase & Srinivasa 2023, Fig. 2 and 4."""

    needs = ("neuron_matching",)

    layers: NonNegativeInt = 1
    """Hidden layers of the networks that are shown."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["neuron_matching"]
        shown = [
            configuration.label
            for configuration in results.configurations
            if len(configuration.settings.model.interchangeable()) == self.layers
        ]
        part = found.sel(configuration=shown)
        part = part.isel(configuration=np.argsort(part["width"].values))
        figure, (ways, barriers) = plt.subplots(1, 2, figsize=(5.0, 2.7))
        _ways(ways, part.isel(configuration=-1))
        _barriers(barriers, part)
        widest = part.isel(configuration=-1)
        left = float(widest["barrier_after"] / widest["barrier_before"])
        figure.suptitle(
            f"Matching neurons leaves {percent(left)} of the barrier"
            f" at width {int(widest['width'])}", fontsize=8,
        )  # fmt: skip
        pairs = counted(int(widest["pairs"]), "pair")
        note(figure, "(a) thick: means", f"(b) 99 % intervals over {pairs}, cut at 0")
        return figure


def _ways(axis, widest) -> None:
    t = widest["t"].values
    for row, (name, look) in enumerate(LOOKS):
        losses = widest["loss"].values[row]
        losses = losses[np.isfinite(losses).all(axis=1)]
        style = {"color": look["color"], "ls": look["ls"]}
        axis.plot(t, losses.T, lw=0.4, alpha=0.6, **style)
        middle = losses.mean(axis=0)
        axis.plot(t, middle, lw=1.5, **style)
        half = len(t) // 2
        axis.annotate(
            name, (t[half], losses[:, half].max()), (0, 3), textcoords="offset points",
            color=ink(look["color"]), fontsize=7, ha="center",
        )  # fmt: skip
    axis.set(xlabel="place on the way", ylabel="loss", xlim=(0, 1), xticks=(0, 0.5, 1))
    axis.set_ylim(bottom=0)
    axis.set_title(f"(a) width {int(widest['width'])}", fontsize=8, loc="left")


def _barriers(axis, part) -> None:
    width = part["width"].values
    for (name, look), column in zip(LOOKS, ("barrier_before", "barrier_after"), strict=True):
        value, low, high = (part[f"{column}{end}"].values for end in ("", "_low", "_high"))
        bars = np.abs([value - np.maximum(low, 0), high - value])
        axis.errorbar(width, value, bars, ms=3.5, lw=1, capsize=2, **look)
        axis.annotate(
            name, (width[-2], value[-2]), (6, 5), textcoords="offset points",
            color=ink(look["color"]), fontsize=7,
        )  # fmt: skip
    axis.set(xscale="log", xlabel="hidden neurons", ylabel="barrier of the loss")
    axis.set_ylim(bottom=0)
    axis.set_xticks(width, [f"{int(w)}" for w in width], fontsize=7)
    axis.minorticks_off()
    axis.set_title("(b) all widths", fontsize=8, loc="left")


@nnflow.hookimpl
def nnflow_register(register):
    register("neuron_matching", NeuronMatching)
