"""L₁₂ and L₂₁ of two neurons, as in Fig. 10 of Tian (2017)."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class SeparationFunction(Figure):
    """Left and middle: L₁₂ and L₂₁ against the angle φ of e*, at two angles θ₁₂ between e₁ and e₂;
    the cone of e₁ and e₂ is shaded. Right: L₁₂ over its largest magnitude at that θ₁₂; it
    vanishes on the lines φ = 0 and φ = θ₁₂ (black) and nowhere else."""

    needs = ("separation_grid",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["separation_grid"]
        figure, axes = plt.subplots(1, 3, figsize=(9.6, 3.1))
        for axis, theta, letter in zip(axes, analysis["theta_shown"].values, "ab", strict=False):
            _curves(axis, analysis.sel(theta_shown=theta), theta, letter)
        _map(figure, axes[2], analysis)
        return figure


def _curves(axis, analysis, theta: float, letter: str) -> None:
    phi = analysis["phi"].values / np.pi
    axis.axvspan(0, theta / np.pi, color="0.9", lw=0)
    axis.axhline(0, color="0.4", lw=0.7)
    for name, label in (("L12", "$L_{12}$"), ("L21", "$L_{21}$")):
        axis.plot(phi, analysis["curve"].sel(function=name), label=label)
    axis.set(xlabel="φ / π", ylabel="L", xlim=(0, 2))
    axis.set_title(f"({letter}) θ$_{{12}}$ = {theta / np.pi:g} π")
    axis.legend(loc="upper right")


def _map(figure, axis, analysis) -> None:
    values = analysis["map"]
    values = values / np.abs(values).max("map_phi")
    theta, phi = analysis["theta"].values / np.pi, analysis["map_phi"].values / np.pi
    mesh = axis.pcolormesh(
        phi,
        theta,
        np.cbrt(values),
        cmap="RdBu_r",
        vmin=-1,
        vmax=1,
        rasterized=True,
        shading="nearest",
    )
    for edge in (np.zeros(2), np.array([0, 1])):
        axis.plot(edge, [0, 1], color="k", lw=1)
    axis.set(xlabel="φ / π", ylabel="θ$_{12}$ / π", xlim=(0, 2), ylim=(0, 1))
    axis.set_title("(c) $L_{12}$ / max|$L_{12}$|")
    bar = figure.colorbar(mesh, ax=axis)
    ticks = np.array([-1, -0.1, 0, 0.1, 1])
    bar.set_ticks(np.cbrt(ticks), labels=[f"{tick:g}" for tick in ticks])


@nnflow.hookimpl
def nnflow_register(register):
    register("separation_function", SeparationFunction)
