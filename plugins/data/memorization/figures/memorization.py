"""Learning samples by heart."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import ink

PLACES = {
    "samples": ("knots at samples", (4, -12), "left"),
    "midpoints": ("knots half-way", (-6, 6), "right"),
}
"""What is written beside each line, where from its middle, and on which side."""


class Memorization(Figure):
    """(a) Largest error of the constructed network against the number of samples, and the condition
    number of its matrix times the rounding 2⁻⁵³; lines join medians. (b) Largest error of the
    runs of gradient descent in the same network, each a dot, beside that of the construction."""

    needs = ("memorization", "training")

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["memorization"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(6.75, 2.9))
        sizes = found["size"].values
        for place, (knots, marker) in enumerate((("samples", "o"), ("midpoints", "s"))):
            at = found.sel(knots=knots)
            rounding = at["condition"].values * 2.0**-53
            for values, line in ((at["error"].values, "-"), (rounding, "--")):
                style = {"color": f"C{place}", "marker": marker, "ms": 3}
                left.plot(sizes, np.median(values, axis=1), ls=line, lw=1, **style)
            middle = len(sizes) // 2
            words, shift, side = PLACES[knots]
            left.annotate(
                words, (sizes[middle], np.median(at["error"][middle])), xytext=shift, ha=side,
                textcoords="offset points", fontsize=7, color=ink(f"C{place}"),
            )  # fmt: skip
        left.text(0.03, 0.95, "dashed: condition × rounding", transform=left.transAxes, fontsize=7)
        left.set_xscale("log")
        shown = sizes[:: 1 + len(sizes) // 5]
        left.set_xticks(shown, [str(size) for size in shown])
        left.minorticks_off()
        left.set_yscale("log")
        left.set_xlabel("samples $n$")
        left.set_ylabel("largest error, median")
        left.set_title("(a) $2n+d$ weights fit any $n$ samples", fontsize=9, loc="left")
        counts = []
        for place, configuration in enumerate(results.configurations):
            worst = np.sort(results.last("worst_error", configuration.label))
            x = place + np.linspace(-0.3, 0.3, len(worst))
            right.plot(x, worst, ".", ms=3, color="C0")
            counts.append(configuration.settings.model.samples)
        worst = float(found["error"].max())
        right.axhline(worst, color="0.4", lw=1, ls="--")
        right.annotate(
            "the construction, at worst in (a)", (-0.3, worst), xytext=(0, 4),
            textcoords="offset points", fontsize=7, color="0.3",
        )  # fmt: skip
        right.set_xticks(range(len(counts)), [f"$n={count}$" for count in counts])
        right.set_xlabel("runs, by their error")
        right.set_yscale("log")
        right.set_ylabel("largest error of a run")
        right.set_title("(b) Gradient descent does not get there", fontsize=9, loc="left")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("memorization", Memorization)
