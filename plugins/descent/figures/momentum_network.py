"""Where momentum settles on a network, over rate and momentum."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, lettered, note, percent
from .._recursions import BORDERS
from ..analyses.momentum_network import METHODS

TITLES = {
    "heavy_ball": "heavy ball",
    "delayed": "as printed: delayed",
    "nesterov": "Nesterov",
}


class MomentumNetwork(Figure):
    """Losses at which a small sigmoid network ends, from one start, over the settings of three
    recursions; white: the run did not converge. Lines: the border of stability at the minimum that
    small steps end at, by its largest curvature. Runs right of it end at flatter points or
    nowhere."""

    needs = ("momentum_network",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["momentum_network"]
        figure, axes = plt.subplots(1, 3, figsize=(WIDE, 2.7), sharey=True, sharex=True)
        losses = found["end_loss"].values
        titles = []
        lowest, highest = np.nanmin(losses), np.nanmax(losses)
        for axis, configuration in zip(axes, results.configurations, strict=True):
            part = found.sel(configuration=configuration.label)
            method = METHODS[configuration.settings.optimizer.name]
            rate, beta = part["rate"].values, part["momentum"].values
            image = axis.pcolormesh(
                rate, beta, part["end_loss"].values.T, cmap="viridis", vmin=lowest, vmax=highest,
                rasterized=True, shading="nearest",
            )  # fmt: skip
            border = BORDERS[method](beta) / float(part["border_curvature"])
            axis.plot(border, beta, color="white", lw=2.6)
            axis.plot(border, beta, color="black", lw=1.2)
            axis.set(xscale="log", xlim=(rate[0], rate[-1]), ylim=(0, beta[-1]))
            share = percent(float(part["converged_share"]))
            titles.append(f"{TITLES[method]}\n{share} converge")
            axis.set_xlabel(r"rate $\alpha$")
        figure.colorbar(image, ax=axes, label="loss at the end", aspect=30, pad=0.01)
        axes[0].set_ylabel(r"momentum $\beta$")
        count = int(np.prod([found.sizes["rate"], found.sizes["momentum"]]))
        figure.suptitle(
            f"Past its border a minimum can't be held: flatter, worse ends ({count} runs each)",
            fontsize=9,
        )
        lettered(axes, *titles)
        note(
            figure,
            "lines: border of stability at the minimum of small steps",
            "white: did not converge",
        )
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("momentum_network", MomentumNetwork)
