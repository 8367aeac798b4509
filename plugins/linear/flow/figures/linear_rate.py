"""The exponential rate of linear networks beside its bound."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class LinearRate(Figure):
    """Mean rate at which the loss falls under the gradient flow, against its bound 2Πα_j: one dot
    for each run whose start fulfils the bound's condition. No dot may lie below the solid line.
    Widths in the legend; one network is shown at two scales of its weights, of which the second
    lies (1/c)⁴ to the left for three matrices: the bound's power, not that of a single α."""

    needs = ("linear_rate",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["linear_rate"]
        figure, axis = plt.subplots(figsize=(4.8, 3.6))
        where = found["where"].values
        for place, configuration in enumerate(
            p for p in results.configurations if p.label in where
        ):
            rows = where == configuration.label
            model = configuration.settings.model
            name = "-".join(map(str, model.widths)) + f", s₁ = {model.modes[1][0]:g}"
            bound, rate = 2 * found["run_alpha"].values[rows], found["run_rate"].values[rows]
            style = {"ms": 3, "alpha": 0.6, "color": f"C{place}"}
            axis.plot(bound, rate, "o^sDv"[place % 5], label=f"{name} ({rows.sum()})", **style)
        ends = np.array([2 * found["run_alpha"].values.min(), found["run_rate"].values.max()])
        axis.plot(ends, ends, color="black", lw=0.9, label="bound")
        axis.set(xscale="log", yscale="log", ylabel="mean rate of the loss")
        axis.set_xlabel(r"bound $2\alpha_1\cdots\alpha_H$")
        axis.legend(fontsize="small", title="widths (runs)", loc="lower right")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_rate", LinearRate)
