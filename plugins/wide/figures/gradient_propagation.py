"""Backpropagated errors by layer."""

from __future__ import annotations

import nnflow
from nnflow import Figure

MARKS = "os^Dv"
TEXT = {"textcoords": "offset points", "fontsize": 7}


class GradientPropagation(Figure):
    """‖δ_k‖² by layer, relative to the last one: mean over random networks with 99 % intervals
    (marks) beside χ₁^{K−k} (lines). The errors start at the output, on the right, and vanish or
    grow towards the input."""

    needs = ("gradient_propagation",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["gradient_propagation"]
        figure, axis = plt.subplots(figsize=(5.0, 3.0))
        layer = found["layer"].values
        for place, name in enumerate(found["network"].values):
            one = found.sel(network=name)
            value, color = one["mean"].values, f"C{place}"
            ends = [value - one["mean_low"].values, one["mean_high"].values - value]
            axis.errorbar(layer, value, ends, fmt=MARKS[place % 5], color=color, ms=3.5, lw=0.8)
            axis.plot(layer, one["limit"], color=color, lw=0.8)
            word, weight, _ = str(name).split()
            label = rf"{word} $\alpha_w^2 = {weight}$, $\chi_1 = {float(one['chi1']):.2f}$"
            shrinks = float(one["chi1"]) < 1 - 1e-9
            at = len(layer) // 3 if shrinks else 0
            axis.annotate(label, (layer[at], one["limit"][at]), (8, -13 if shrinks else 6), **TEXT)
        axis.set(yscale="log", xlabel="layer $k$", ylabel=r"$\|\delta_k\|^2 / \|\delta_K\|^2$")
        axis.set_title(
            r"Errors change by $\chi_1$ a layer, towards the input", loc="left", fontsize=9
        )
        axis.tick_params(labelsize=7)
        axis.margins(y=0.15)  # room for the label of the highest line
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("gradient_propagation", GradientPropagation)
