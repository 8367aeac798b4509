"""The layered gradient of deep ReLU networks against automatic differentiation."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

SPREAD = 0.16
"""Distance in layers at which the widths are drawn next to one another."""


class MultilayerGradient(Figure):
    """Largest relative difference between Proposition 2's gradient and automatic differentiation,
    over all layers, against the number of layers: a dot for each random pair of student and
    teacher, by width, those without a difference at the bottom. The dashed
    line is the rounding of one operation in float64."""

    needs = ("multilayer_gradient",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        error = results["multilayer_gradient"]["error"]
        figure, axis = plt.subplots(figsize=(4.8, 3.2))
        widths = error["width"].values
        for number, width in enumerate(widths):
            part = np.maximum(error.sel(width=width).values, np.finfo(float).eps / 4)
            moved = error["depth"].values + SPREAD * (number - (len(widths) - 1) / 2)
            depth = np.repeat(moved, part.shape[1])
            axis.plot(depth, part.ravel(), "o", ms=3, alpha=0.6, color=f"C{number}", label=width)
        axis.axhline(np.finfo(float).eps, color="black", lw=0.8, ls="--")
        axis.set(yscale="log", ylim=(3e-17, 2e-13), xlabel="layers", ylabel="relative difference")
        axis.set_xticks(error["depth"].values)
        axis.legend(
            title=f"width ({error.sizes['network']} pairs each)",
            ncols=len(widths),
            loc="upper left",
        )
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("multilayer_gradient", MultilayerGradient)
