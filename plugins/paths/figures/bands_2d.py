"""Elastic bands on surfaces of two weights."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

MARGIN = 0.15
"""Room around the bands, as a part of their extent."""
LEVELS = 14
"""Level lines, evenly spaced in the range of the losses along the bands."""
NAMES = {"himmelblau": "Himmelblau", "mueller_brown": "Müller and Brown"}
SIZE = 101
"""Grid points along each side."""


class Bands2d(Figure):
    """Level lines of the loss, evenly spaced (darker is lower), and the bands between all pairs of
    minima (circles). After Draxler et al. 2018, Fig. 2."""

    needs = ("bands", "objective")

    def draw(self, results):
        import matplotlib.pyplot as plt

        found, configurations = results["bands"], results.configurations
        figure, axes = plt.subplots(1, len(configurations), figsize=(5.0, 2.7), squeeze=False)
        for number, configuration in enumerate(configurations):
            part = found.sel(configuration=configuration.label)
            _panel(axes[0, number], results.objective(configuration), part)
            name = NAMES.get(model := configuration.settings.model.name, model)
            letter = chr(ord("a") + number)
            axes[0, number].set_title(
                f"({letter}) {name}\npasses {float(part['lowest_pass']):.4g}"
                f" to {float(part['highest_pass']):.4g}".replace("-", "−"), fontsize=7.5,
            )  # fmt: skip
        refined, bands = int(found["refined"].sum()), int(found["bands"].sum())
        figure.suptitle(
            f"The highest point of {refined} of {bands} bands leads to a critical point", fontsize=8
        )
        return figure


def _panel(axis, loss, part) -> None:
    bands = part["way_weights"].values
    bands = bands[np.isfinite(bands).all(axis=(1, 2))]
    low, high = bands.min(axis=(0, 1)), bands.max(axis=(0, 1))
    room = MARGIN * (high - low)
    x, y = (np.linspace(*side, SIZE) for side in zip(low - room, high + room, strict=True))
    heights = loss.plane(np.zeros(2), *np.eye(2), x, y)
    along = part["way_loss"].sel(way="band").values
    levels = np.linspace(np.nanmin(along), 1.3 * np.nanmax(along) - 0.3 * np.nanmin(along), LEVELS)
    axis.contourf(x, y, heights, levels, cmap="Blues_r", alpha=0.55, extend="max")
    axis.contour(x, y, heights, levels, colors="0.45", linewidths=0.3, linestyles="solid")
    for band in bands:
        axis.plot(*band.T, color="C1", lw=1.1)
    ends = bands[:, [0, -1]].reshape(-1, 2)
    axis.plot(*ends.T, "o", color="w", mec="k", ms=4, mew=0.8)
    axis.set(xlabel="$w_1$", ylabel="$w_2$")
    axis.tick_params(labelsize=6)


@nnflow.hookimpl
def nnflow_register(register):
    register("bands_2d", Bands2d)
