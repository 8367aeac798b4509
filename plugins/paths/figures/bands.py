"""Losses along straight paths and along elastic bands."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ...general.figures._page import counted, ink, lettered, note, percent, white_edge

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
            figsize=(6.75 if several else 3.3, 2.5),
            width_ratios=[1] * len(shown) + [1.2] * several,
            squeeze=False,
        )
        pairs = [
            _ways(axes[0, number], found.sel(configuration=label), first=number == 0)
            for number, label in enumerate(shown)
        ]
        if several:
            _barriers(axes[0, -1], found)
        lettered(axes[0], *map(_short, shown), "mean barriers")
        kept = (found["barrier_band"] / found["barrier_straight"]).values
        figure.suptitle(f"Bands keep {_range(kept)} of the barriers", fontsize=8)
        fewest = counted(min(pairs), "pair")
        intervals = f"({chr(ord('a') + len(shown))}) 99 % intervals over pairs" if several else ""
        note(
            figure,
            f"thick: median of {fewest}{' or more' if len(set(pairs)) > 1 else ''}",
            intervals,
        )
        return figure


def _range(shares: np.ndarray) -> str:
    ends = dict.fromkeys(percent(share) for share in (shares.min(), shares.max()))
    return " to ".join(ends)


def _short(label: str) -> str:
    return label.split("=")[-1].replace("-", "–")


def _ways(axis, part, first: bool) -> int:
    """Draws the paths of all pairs; how many there are."""
    for way, look in LOOKS.items():
        losses = part["way_loss"].sel(way=way).values
        losses = losses[np.isfinite(losses).all(axis=1)]
        style = {"color": look["color"], "ls": look["ls"]}
        axis.plot(part["place"], losses.T, lw=0.4, alpha=0.6, **style)
        middle = np.median(losses, axis=0)
        axis.plot(part["place"], middle, lw=1.5, **style)
        if first:
            place, above = len(middle) // 2, way == "straight"
            edge = losses[:, place].max() if above else middle[place]
            axis.annotate(
                way, (part["place"].values[place], edge), (0, 4 if above else -4), fontsize=7,
                textcoords="offset points", color=ink(look["color"]), ha="center",
                va="bottom" if above else "top", path_effects=white_edge(),
            )  # fmt: skip
    axis.set(xlim=(0, 1), xticks=(0, 0.5, 1))
    axis.set_xlabel("place on the way", fontsize=8)
    axis.set_xticklabels(["0", "½", "1"])
    axis.margins(y=0.15)
    axis.set_ylim(bottom=0)
    axis.tick_params(labelsize=7)
    if first:
        axis.set_ylabel("loss")
    return len(losses)


def _barriers(axis, found) -> None:
    places = np.arange(found.sizes["configuration"])
    for way, look in LOOKS.items():
        value, low, high = (found[f"barrier_{way}{end}"].values for end in ("", "_low", "_high"))
        bars = np.abs([value - np.maximum(low, 0), high - value])
        axis.errorbar(places, value, bars, ms=3.5, lw=1, capsize=2, **look)
    # every other one is lower, as they would touch
    names = [_short(str(label)) for label in found["configuration"].values]
    axis.set_xticks(places, ["\n" * (n % 2) + name for n, name in enumerate(names)])
    axis.tick_params(labelsize=7)
    axis.margins(x=0.15)
    axis.set_ylim(bottom=0)
    axis.set_ylabel("barrier of the loss")


@nnflow.hookimpl
def nnflow_register(register):
    register("bands", Bands)
