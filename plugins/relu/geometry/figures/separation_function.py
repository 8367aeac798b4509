"""L₁₂ and L₂₁ of two neurons, as in Fig. 10 of Tian (2017)."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, beside, hatch_negative, lettered, note


class SeparationFunction(Figure):
    """(a), (b) L₁₂ and L₂₁ against the angle φ of e*, at two angles θ₁₂ between e₁ and e₂, whose
    cone is shaded. (c) L₁₂ over its largest magnitude at that θ₁₂ (hatched: negative); it vanishes
    on the lines φ = 0 and φ = θ₁₂ (black) and nowhere else. After Tian 2017, Fig. 10."""

    needs = ("separation_grid",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["separation_grid"]
        figure, axes = plt.subplots(1, 3, figsize=(WIDE, 2.6), width_ratios=(1, 1, 1.25))
        angles = analysis["theta_shown"].values
        for axis, theta in zip(axes, angles, strict=False):
            _curves(axis, analysis.sel(theta_shown=theta), theta)
        wrong = _map(figure, axes[2], analysis)
        names = [f"θ₁₂ = {theta / np.pi:g} π" for theta in angles[:2]]
        lettered(axes, *names, "L₁₂ / max |L₁₂|")
        said = "exactly" if wrong == 0 else f"but for {wrong:,} points of a grid"
        figure.suptitle(f"L₁₂ is positive {said} where e* lies in the cone of e₁ and e₂")
        note(figure, "(c): colours on a cube-root scale", "after Tian 2017, Fig. 10")
        return figure


def _curves(axis, analysis, theta: float) -> None:
    phi = analysis["phi"].values / np.pi
    axis.axvspan(0, theta / np.pi, color="0.88", lw=0)
    axis.axhline(0, color="0.4", lw=0.7)
    for name, label, dashes, color in (("L12", "L₁₂", "-", "C0"), ("L21", "L₂₁", "--", "C3")):
        axis.plot(phi, analysis["curve"].sel(function=name), dashes, color=color, label=label)
    low, high = axis.get_ylim()
    axis.set_ylim(low - 0.12 * (high - low), high)
    beside(axis, 0.03, axis.get_ylim()[0], "cone(e₁, e₂)", va="bottom")
    axis.set(xlabel="φ / π", ylabel="L", xlim=(0, 2))
    axis.legend(loc="upper right")


def _map(figure, axis, analysis) -> int:
    """The map, and at how many of its points the sign is not that of the cone."""
    values = analysis["map"]
    values = values / np.abs(values).max("map_phi")
    theta, phi = analysis["theta"].values / np.pi, analysis["map_phi"].values / np.pi
    mesh = axis.pcolormesh(
        phi, theta, np.cbrt(values), cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True,
        shading="nearest",
    )  # fmt: skip
    hatch_negative(axis, phi, theta, values.transpose("theta", "map_phi").values)
    for edge in (np.zeros(2), np.array([0, 1])):
        axis.plot(edge, [0, 1], color="k", lw=1)
    beside(axis, 1.35, 0.5, "no other zero", ha="center")
    axis.set(xlabel="φ / π", ylabel="θ₁₂ / π", xlim=(0, 2), ylim=(0, 1))
    bar = figure.colorbar(mesh, ax=axis)
    ticks = np.array([-1, -0.1, 0, 0.1, 1])
    bar.set_ticks(np.cbrt(ticks), labels=[f"{tick:g}".replace("-", "−") for tick in ticks])
    across, up = analysis["map_phi"], analysis["theta"]
    inside = (across > 0) & (across < up)
    edge = (np.abs(across - up) < 1e-9) | (np.abs(np.sin(across / 2)) < 1e-9) | (up < 1e-9)
    edge = edge | (np.abs(up - np.pi) < 1e-9)
    return int((((values > 0) != inside) & ~edge).sum())


@nnflow.hookimpl
def nnflow_register(register):
    register("separation_function", SeparationFunction)
