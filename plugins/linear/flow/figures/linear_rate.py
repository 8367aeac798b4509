"""The exponential rate of linear networks beside its bound."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import HALF, beside, note


class LinearRate(Figure):
    """Mean rate at which the loss falls under the gradient flow, against its bound 2Πα_j: one dot
    for each run whose start fulfils the bound's condition. No dot may lie below the solid line.
    Widths in the legend; one network is shown at two scales of its weights, of which the second
    lies (1/c)⁴ to the left for three matrices: the bound's power, not that of a single α."""

    needs = ("linear_rate",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["linear_rate"]
        figure, axis = plt.subplots(figsize=(HALF, 3.4))
        where = found["where"].values
        for place, configuration in enumerate(
            p for p in results.configurations if p.label in where
        ):
            rows = where == configuration.label
            model = configuration.settings.model
            name = "–".join(map(str, model.widths)) + f", s₁ = {model.modes[1][0]:g}"
            bound, rate = 2 * found["run_alpha"].values[rows], found["run_rate"].values[rows]
            style = {"ms": 3, "alpha": 0.6, "color": f"C{place}"}
            axis.plot(bound, rate, "o^sDv"[place % 5], label=f"{name} ({rows.sum()})", **style)
        ends = np.array([2 * found["run_alpha"].values.min(), found["run_rate"].values.max()])
        axis.plot(ends, ends, color="black", lw=0.9)
        axis.set(xscale="log", yscale="log", ylabel="mean rate at which the loss falls")
        axis.set_xlabel(r"bound $2\alpha_1\cdots\alpha_H$")
        axis.legend(title="widths (runs)", loc="lower right", fontsize=7)
        beside(axis, ends[0], ends[0], "bound: rate = 2α₁⋯α_H".replace("_H", "$_H$"), va="top")
        below = int((found["run_rate"].values < 2 * found["run_alpha"].values).sum())
        least = float((found["run_rate"].values / (2 * found["run_alpha"].values)).min())
        figure.suptitle(
            f"{below or 'None'} of {len(where)} runs {'is' if below < 2 else 'are'} slower than"
            f" the bound; the nearest is {least:.1f} times as fast"
        )
        note(figure, "after Chitour, Liao & Couillet 2018")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_rate", LinearRate)
