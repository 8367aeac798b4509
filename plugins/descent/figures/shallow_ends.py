"""How shallow networks with one input end."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, beside, ink, lettered

TARGETS = {"absolute": "$|x|$", "identity": "$x$", "step": "sign $x$", "sine": r"$\sin \pi x$"}
LOOKS = {
    "global": ("0.85", ""),
    "stuck": ("C0", "////"),
    "flat": ("C1", "...."),
    "moving": ("white", ""),
    "unbounded": ("black", ""),
}
PLACES = {
    "global minimum": (1.0, 0.2, "right"),
    "best constant": (0.0, 0.58, "center"),
    "one kink": (0.0, 0.34, "center"),
}
LINES = {"global minimum": "-", "best constant": "--", "one kink": "-."}


class ShallowEnds(Figure):
    """(a) Shares of ends by kind, for each width h and target, with 99 % intervals of the share
    that reaches the global minimum. (b) Functions at the ends of the first network: the target
    (dots), and one run of each sort."""

    needs = ("shallow_ends",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["shallow_ends"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 3.2), width_ratios=(1.35, 1))
        labels = []
        for configuration in results.configurations:
            settings = configuration.settings
            labels.append(f"{TARGETS[settings.dataset.function]}, $h={settings.model.widths[1]}$")
        _shares(left, found, labels)
        _functions(right, found)
        lettered((left, right), "ends of runs; interval of the global ones", "functions at ends")
        figure.suptitle(
            "Runs that miss the global minimum have too few kinks; wider networks seldom do",
            fontsize=9,
        )
        return figure


def _shares(axis, found, labels) -> None:
    place, start = np.arange(len(labels))[::-1], np.zeros(len(labels))
    for kind, (color, hatch) in LOOKS.items():
        share = found[f"{kind}_share"].values
        if share.any():
            axis.barh(
                place, share, left=start, color=color, hatch=hatch, edgecolor="black", lw=0.5,
                height=0.7, label=kind,
            )  # fmt: skip
        start = start + share
    reached = found["global_share"].values
    spans = (reached - found["global_share_low"].values, found["global_share_high"] - reached)
    axis.errorbar(reached, place, xerr=spans, fmt="none", color="black", lw=1, capsize=2)
    axis.set_yticks(place, labels, fontsize=7)
    axis.set(xlim=(0, 1), xlabel="share of runs (99 % intervals)")
    axis.legend(loc="upper center", bbox_to_anchor=(0.45, -0.2), ncols=5, fontsize=7,
                handlelength=1.2, columnspacing=1)  # fmt: skip


def _functions(axis, found) -> None:
    x = found["input"].values
    axis.plot(x, found["target"].values, ".", color="0.6", ms=4)
    for number, (name, values) in enumerate(
        zip(found["end"].values, found["output"].values, strict=True)
    ):
        axis.plot(x, values, LINES.get(str(name), ":"), color=f"C{number}", lw=1.3)
        if str(name) in PLACES:
            across, up, side = PLACES[str(name)]
            beside(axis, across, up, str(name), ha=side, va="center", color=ink(f"C{number}"))
    axis.set(xlabel="$x$", ylabel="output", ylim=(-0.05, 1.3))


@nnflow.hookimpl
def nnflow_register(register):
    register("shallow_ends", ShallowEnds)
