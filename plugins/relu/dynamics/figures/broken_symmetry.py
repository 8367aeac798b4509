"""Symmetries that a landscape has and its minima break."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, UserError

ROUND = 0.15, 150
"""Step and number of steps down the hat."""
STARTS = 6
"""Starts on the hat, at evenly spaced angles."""
NEAR = 0.03
"""Their distance from its top."""


class BrokenSymmetry(Figure):
    """Left: flow of (x, y) for K = 2; the reflection at x = y (dashed) maps the field to itself,
    but the end of a start above the line (minimum 2) to that of its image (minimum 1). Right:
    (‖u‖² − 1)², a Mexican hat: rotations map the landscape to itself, but the end of each start
    near the top to another one of the circle of minima."""

    needs = ("symmetric_dynamics",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        twins = [
            configuration
            for configuration in results.configurations
            if configuration.settings.model.k == 2
        ]
        if not twins:
            raise UserError(f"{results.study.file}: figures: broken_symmetry needs K = 2")
        figure = plt.figure(figsize=(7.2, 3.3), layout="constrained")
        _reflection(
            figure.add_subplot(1, 2, 1),
            results["symmetric_dynamics"].sel(configuration=twins[0].label),
        )
        _hat(figure.add_subplot(1, 2, 2, projection="3d"))
        return figure


def _reflection(axis, at) -> None:
    x, y = at["place_x"].values, at["place_y"].values
    flow = np.nan_to_num(at["velocity_x"].values), np.nan_to_num(at["velocity_y"].values)
    speed = np.hypot(*flow)
    axis.streamplot(
        x, y, *flow, color=speed, cmap="viridis", density=1.0, linewidth=0.8, arrowsize=0.7
    )
    axis.plot([0, 1], [0, 1], color="black", lw=0.9, ls="--")
    axis.plot(float(at["saddle"]), float(at["saddle"]), "X", color="black", ms=8)
    style = {"color": "C3", "backgroundcolor": (1, 1, 1, 0.7)}
    axis.text(0.7, 0.06, "minimum 1", **style)
    axis.text(0.06, 0.9, "minimum 2", **style)
    axis.plot([1, 0], [0, 1], "*", color="C3", ms=11, clip_on=False, zorder=5)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="x", ylabel="y", aspect="equal")


def _hat(axis) -> None:
    radius, angle = np.meshgrid(np.linspace(0, 1.28, 40), np.linspace(0, 2 * np.pi, 73))
    height = (radius**2 - 1) ** 2
    across, up = radius * np.cos(angle), radius * np.sin(angle)
    axis.plot_surface(
        across, up, height, cmap="viridis", alpha=0.55, linewidth=0, rstride=1, cstride=1
    )
    begun = 2 * np.pi * (np.arange(STARTS) + 0.5) / STARTS
    u = NEAR * np.stack([np.cos(begun), np.sin(begun)])
    trajectory = [u]
    rate, steps = ROUND
    for _ in range(steps):
        u = trajectory[-1]
        trajectory.append(u - rate * u * ((u**2).sum(axis=0) - 1))
    trajectory = np.stack(trajectory)
    loss = ((trajectory**2).sum(axis=1) - 1) ** 2
    for run in range(STARTS):
        axis.plot(*trajectory[:, :, run].T, loss[:, run] + 0.01, color="C3", lw=1.4, zorder=10)
        axis.plot(*trajectory[-1, :, run], 0.01, "*", color="C3", ms=8, zorder=11)
    axis.view_init(elev=38, azim=-60)
    axis.set_box_aspect((4, 4, 3), zoom=0.82)
    axis.set(xlabel=r"$u_1$", ylabel=r"$u_2$", zlabel="loss")
    axis.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1], zticks=[0, 0.5, 1])


@nnflow.hookimpl
def nnflow_register(register):
    register("broken_symmetry", BrokenSymmetry)
