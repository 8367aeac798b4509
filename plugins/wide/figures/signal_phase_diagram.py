"""The phase diagram with both depth scales."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

LEVELS = (1, 2, 5, 10, 20, 50, 100)
FEW = (0.5, 1, 2)
"""Levels of ξ_q."""


class SignalPhaseDiagram(Figure):
    """Layers over which correlations (a) and lengths (b) of signals of wide networks forget their
    start, over the variances of weights and biases. The thick line is χ₁ = 1, where the depth scale
    of correlations diverges; that of lengths does not. After Schoenholz et al. 2017, Fig. 2."""

    needs = ("signal_phase_diagram",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.colors import LogNorm

        found = results["signal_phase_diagram"]
        figure, axes = plt.subplots(1, 2, figsize=(6.75, 2.9), sharey=True)
        titles = r"$\xi_c$ diverges at the line $\chi_1 = 1$", r"$\xi_q$ stays small there"
        w, h = found["weight_variance"].values, found["bias_variance"].values
        for letter, axis, name, title in zip("ab", axes, ("xi_c", "xi_q"), titles, strict=True):
            values = np.clip(
                np.nan_to_num(found[name].values.T, posinf=LEVELS[-1]), 0.3, LEVELS[-1]
            )
            values[~np.isfinite(found["q"].values.T) | (found["q"].values.T == 0)] = np.nan
            mesh = axis.pcolormesh(w, h, values, norm=LogNorm(0.3, LEVELS[-1]), cmap="cividis",
                                   rasterized=True, shading="nearest")  # fmt: skip
            lines = axis.contour(w, h, values, colors="white", linewidths=0.6,
                                 levels=LEVELS[:-1] if name == "xi_c" else FEW)  # fmt: skip
            axis.clabel(lines, fontsize=6.5, fmt="%g")
            axis.plot(found["line_weight"], found["line_bias"], color="black", lw=2)
            axis.set_title(f"({letter}) {title}", loc="left", fontsize=9)
            axis.set(
                xlabel=r"variance of weights $\alpha_w^2$", xlim=(w[0], w[-1]), ylim=(h[0], h[-1])
            )
            axis.tick_params(labelsize=7)
        axes[0].set_ylabel(r"variance of biases $\alpha_h^2$")
        for axis, word, place in (
            (axes[0], "ordered", (0.315, 0.72)),
            (axes[0], "chaotic", (0.74, 0.04)),
        ):
            axis.text(*place, word, transform=axis.transAxes, fontsize=8, bbox={
                "facecolor": "white", "edgecolor": "none", "pad": 1.5})  # fmt: skip
        bar = figure.colorbar(mesh, ax=axes, pad=0.01, extend="max")
        bar.set_label("depth scale (layers)", fontsize=8)
        bar.ax.tick_params(labelsize=7)
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_phase_diagram", SignalPhaseDiagram)
