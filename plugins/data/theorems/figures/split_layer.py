"""The bad minimum of a wide layer."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import ink, note

MARKS = "osD^v"


class SplitLayer(Figure):
    """(a) Eigenvalues of the Hessian at the split neuron: m − 1 zeros along the set of its images,
    all others positive. (b) Share of the descents that end at a bad minimum, with 99 % intervals:
    from beside it, and from random starts of several sizes."""

    needs = ("split_layer",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["split_layer"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(6.75, 3.0))
        counts = sorted({one.settings.model.samples for one in results.configurations})
        for place, count in enumerate(counts):
            chosen = [c for c in results.configurations if c.settings.model.samples == count]
            style = {"marker": MARKS[place], "color": f"C{place}", "ms": 4}
            values = found["eigenvalue"].sel(configuration=chosen[0].label).values
            values = values[np.isfinite(values)]
            rings = {**style, "ms": 4 + 2 * place, "mfc": "none" if place else style["color"]}
            left.plot(np.arange(1, len(values) + 1), values, ls="", **rings)
            left.annotate(
                f"$m={count}$", (len(values), values[-1]), xytext=(-6, 0), ha="right", va="center",
                textcoords="offset points", fontsize=7, color=ink(style["color"]),
            )  # fmt: skip
            shares = [found.sel(configuration=one.label) for one in chosen]
            middle, low, high = (
                np.array([float(one[f"stuck_share{end}"]) for one in shares])
                for end in ("", "_low", "_high")
            )
            x = np.arange(len(chosen)) + 0.16 * (place - (len(counts) - 1) / 2)
            bars = (middle - low, high - middle)
            right.errorbar(x, middle, bars, ls="", lw=1, label=f"$m={count}$", **style)
        left.set_yscale("symlog", linthresh=1e-3, linscale=0.5)
        left.set_yticks([0, 1e-2, 1, 100], ["0", "0.01", "1", "100"])
        left.axhline(0, color="0.6", lw=0.6, zorder=0)
        left.set_ylim(-6e-4, 2e2)
        left.set_xlabel("number of the eigenvalue")
        left.set_ylabel("Hessian eigenvalue")
        left.set_title("(a) A minimum: $m-1$ are 0, none is negative", fontsize=9, loc="left")
        right.set_xticks(range(len(chosen)), [_start(one) for one in chosen], fontsize=7)
        right.set_ylabel("share of runs that end there")
        right.set_ylim(-0.03, 1.05)
        right.legend(fontsize=7, loc="upper right", handletextpad=0.2)
        right.set_title("(b) Descents from nearby end there", fontsize=9, loc="left")
        right.set_xlabel("first weights")
        note(figure, "(a) linear below 0.001", "(b) 99 % intervals")
        return figure


def _start(configuration) -> str:
    start = configuration.settings.initializer
    if start.name == "split_neuron":
        return "beside\nthe split"
    return f"normal\n$s^2={start.variance:g}$"


@nnflow.hookimpl
def nnflow_register(register):
    register("split_layer", SplitLayer)
