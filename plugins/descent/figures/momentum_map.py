"""Rates of three recursions with momentum over rate and momentum."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, beside, lettered
from .._recursions import BORDERS

TITLES = {
    "heavy_ball": "heavy ball",
    "delayed": "as printed: delayed",
    "nesterov": "Nesterov",
}
LEVELS = (0.6, 0.7, 0.8, 0.9, 0.95)


class MomentumMap(Figure):
    """Measured growth of the error per step (shades) over αM and β on a spectrum [μ, M] with
    κ = 10, 1000 steps at each of the settings; white: it grows. Lines: exact spectral radii
    (thin, at the levels of the bar) and the exact border of stability (thick). Stars: the best
    setting of the map, with its rate."""

    needs = ("momentum_map",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["momentum_map"]
        figure, axes = plt.subplots(1, 3, figsize=(WIDE, 2.9), sharey=True, sharex=True)
        for axis, method in zip(axes, TITLES, strict=True):
            image = _panel(axis, found.sel(recursion=method), method)
        bar = figure.colorbar(image, ax=axes, label="measured rate per step", aspect=30, pad=0.01)
        bar.set_ticks([0.5, *LEVELS, 1])
        bar.ax.hlines(LEVELS, 0, 1, color="white", lw=0.6)
        axes[0].set_ylabel(r"momentum $\beta$")
        size = f"{found.sizes['rate']} × {found.sizes['momentum']}"
        figure.suptitle(
            f"The recursion as printed is stable in a corner only ({size} settings each)",
            fontsize=9,
        )
        lettered(axes, *TITLES.values())
        return figure


def _panel(axis, found, method):
    s, beta = found["rate"].values, found["momentum"].values
    rate = found["measured_rate"].values.T
    image = axis.pcolormesh(
        s, beta, np.where(rate < 1, rate, np.nan), cmap="viridis", vmin=0.5, vmax=1,
        rasterized=True, shading="nearest",
    )  # fmt: skip
    exact = found["exact_rate"].values.T
    axis.contour(s, beta, exact, levels=LEVELS, colors="white", linewidths=0.6)
    axis.plot(BORDERS[method](beta), beta, color="black", lw=1.6)
    row, column = np.unravel_index(np.argmin(rate), rate.shape)
    axis.plot(s[column], beta[row], "*", color="white", mec="black", ms=9, zorder=5)
    beside(axis, 0.96, 0.05, f"best {rate[row, column]:.2f}", ha="right", transform=axis.transAxes)
    axis.set(xlim=(0, s[-1]), ylim=(0, beta[-1]), xlabel=r"rate $\alpha M$")
    return image


@nnflow.hookimpl
def nnflow_register(register):
    register("momentum_map", MomentumMap)
