"""Losses along straight paths and along elastic bands."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ...general.figures._page import ink

LOOKS = {
    "straight": {"color": "C1", "ls": "--", "marker": "s"},
    "band": {"color": "C0", "ls": "-", "marker": "o"},
}


class Bands(Figure):
    """Loss on the straight path between two trained networks and on the elastic band, thin lines
    pairs and thick ones their median, one panel per configuration; where there are several, the
    last panel has the mean barriers, with 99 % intervals over pairs. After Draxler et al. 2018,
    Fig. 1 and 5."""

    needs = ("bands",)

    most: PositiveInt = 3
    """Maximum number of panels of paths."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["bands"]
        labels = [configuration.label for configuration in results.configurations]
        shown, several = labels[: self.most], len(labels) > 1
        figure, axes = plt.subplots(
            1,
            len(shown) + several,
            figsize=(6.75 if several else 3.3, 2.3),
            width_ratios=[1] * len(shown) + [1.2] * several,
            squeeze=False,
        )
        for number, label in enumerate(shown):
            _ways(axes[0, number], found.sel(configuration=label), first=number == 0)
            letter = f"({chr(ord('a') + number)}) " if several else ""
            axes[0, number].set_title(f"{letter}{_short(label)}", fontsize=8)
        if several:
            _barriers(axes[0, -1], found, chr(ord("a") + len(shown)))
        kept = (found["barrier_band"] / found["barrier_straight"]).values
        figure.suptitle(f"Bands keep {_range(kept)} of the barriers", fontsize=8)
        return figure


def _range(shares: np.ndarray) -> str:
    ends = dict.fromkeys(f"{share:.0%}" for share in (shares.min(), shares.max()))
    return " to ".join(ends)


def _short(label: str) -> str:
    return label.split("=")[-1]


def _ways(axis, part, first: bool) -> None:
    for way, look in LOOKS.items():
        losses = part["way_loss"].sel(way=way).values
        losses = losses[np.isfinite(losses).all(axis=1)]
        style = {"color": look["color"], "ls": look["ls"]}
        axis.plot(part["place"], losses.T, lw=0.4, alpha=0.6, **style)
        middle = np.median(losses, axis=0)
        axis.plot(part["place"], middle, lw=1.5, **style)
        if first:
            place = len(middle) // 2
            axis.annotate(
                way, (part["place"].values[place], middle[place]), (0, 8), fontsize=7,
                textcoords="offset points", color=ink(look["color"]), ha="center",
            )  # fmt: skip
    axis.set(xlim=(0, 1), xticks=(0, 0.5, 1))
    axis.set_xlabel("place on the way", fontsize=8)
    axis.set_xticklabels(["0", "½", "1"])
    axis.margins(y=0.15)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    if first:
        axis.set_ylabel("loss")


def _barriers(axis, found, letter: str) -> None:
    places = np.arange(found.sizes["configuration"])
    for way, look in LOOKS.items():
        value, low, high = (found[f"barrier_{way}{end}"].values for end in ("", "_low", "_high"))
        bars = np.abs([value - np.maximum(low, 0), high - value])
        axis.errorbar(places, value, bars, ms=3.5, lw=1, capsize=2, **look)
    axis.set_xticks(places, [_short(str(label)) for label in found["configuration"].values])
    axis.tick_params(labelsize=7)
    axis.margins(x=0.15)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("mean barrier")
    axis.set_title(f"({letter}) all", fontsize=8)


@nnflow.hookimpl
def nnflow_register(register):
    register("bands", Bands)
