"""What straight paths and arcs do to a cloud of Gaussian neurons."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

PANELS = (
    (("x", "y"), "$X$ (dots) and $Y$ (crosses)", 1.0),
    (("linear",), "$X/2 + Y/2$", np.sqrt(0.5)),
    (("arc",), r"$\cos\frac{\pi}{4}X + \sin\frac{\pi}{4}Y$", 1.0),
)
LOOKS = {
    "x": ("C0", "."),
    "y": ("C1", "x"),
    "linear": ("C1", "."),
    "arc": ("C0", "."),
}


class GaussianSqueeze(Figure):
    """Samples of two independent normal clouds and of the middle of the paths between them, with
    the circle of one standard deviation: exact (line) and of all draws (dashes). After the lecture,
    "Main example: connecting normal distributions"."""

    needs = ("gaussian_squeeze",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["gaussian_squeeze"].isel(configuration=0)
        sampled = [1.0, *(np.sqrt(float(found[f"{way}_middle"])) for way in ("linear", "arc"))]
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.9))
        angle = np.linspace(0, 2 * np.pi, 100)
        for number, (names, title, radius) in enumerate(PANELS):
            axis = axes[number]
            for name in names:
                color, marker = LOOKS[name]
                points = found["sample"].sel(shown=name).values
                axis.plot(*points.T, marker, color=color, ms=2.5, mew=0.6)
            for r, style in ((radius, "-"), (sampled[number], "--")):
                axis.plot(r * np.cos(angle), r * np.sin(angle), style, color="k", lw=1)
            axis.set_box_aspect(1)
            axis.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), xlabel="$w_1$")
            axis.set_title(f"({chr(ord('a') + number)}) {title}", fontsize=8)
        axes[0].set_ylabel("$w_2$")
        variances = [float(found[f"{way}_middle"]) for way in ("linear", "arc")]
        figure.suptitle(
            f"The straight path squeezes the variance to {variances[0]:.3f}, the arc keeps"
            f" {variances[1]:.3f}", fontsize=8,
        )  # fmt: skip
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("gaussian_squeeze", GaussianSqueeze)
