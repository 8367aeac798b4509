"""Symmetries that a landscape has and its minima break."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, UserError

from ....general.figures._page import WIDE, beside, lettered, note

ROUND = 0.15, 150
"""Step and number of steps down the hat."""
STARTS = 6
"""Starts on the hat, at evenly spaced angles."""
NEAR = 0.03
"""Their distance from its top."""


class BrokenSymmetry(Figure):
    """(a) Flow of (x, y) for K = 2: the reflection at x = y (dashed) maps the field to itself, but
    the end of a start above the line (minimum 2) to that of its image (minimum 1). (b) Level
    lines of (‖u‖² − 1)², a Mexican hat seen from above: rotations map the landscape to itself,
    but the end of each start near the top to another one of the circle of minima. After Tian 2017,
    Fig. 6."""

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
        figure, axes = plt.subplots(1, 2, figsize=(WIDE, 3.4))
        _reflection(axes[0], results["symmetric_dynamics"].sel(configuration=twins[0].label))
        ends = _hat(axes[1])
        lettered(axes, "reflection at x = y", "rotation about the top")
        apart = len(np.unique(np.round(ends, 6), axis=1).T)
        figure.suptitle(
            f"Minima break the landscape's symmetry: 2 of the reflection, {apart} ends of"
            f" {STARTS} rotated starts"
        )
        note(figure, "after Tian 2017, Fig. 6")
        return figure


def _reflection(axis, at) -> None:
    x, y = at["place_x"].values, at["place_y"].values
    flow = np.nan_to_num(at["velocity_x"].values), np.nan_to_num(at["velocity_y"].values)
    axis.streamplot(x, y, *flow, color="0.45", density=1.0, linewidth=0.7, arrowsize=0.7)
    axis.plot([0, 1], [0, 1], color="black", lw=0.9, ls="--")
    axis.plot(float(at["saddle"]), float(at["saddle"]), "X", color="black", ms=8)
    beside(axis, 0.94, 0.05, "minimum 1", color="C3", ha="right", fontsize=8)
    beside(axis, 0.06, 0.93, "minimum 2", color="C3", fontsize=8)
    axis.plot([1, 0], [0, 1], "*", color="C3", ms=10, clip_on=False, zorder=5)
    axis.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="x", ylabel="y", aspect="equal")


def _hat(axis) -> np.ndarray:
    """The hat's level lines and six descents; their ends, (2, start)."""
    side = np.linspace(-1.3, 1.3, 161)
    height = (side**2 + side[:, None] ** 2 - 1) ** 2
    axis.contourf(side, side, height, np.linspace(0, 1.6, 13), cmap="Blues_r", extend="max")
    begun = 2 * np.pi * (np.arange(STARTS) + 0.5) / STARTS
    u = NEAR * np.stack([np.cos(begun), np.sin(begun)])
    trajectory = [u]
    rate, steps = ROUND
    for _ in range(steps):
        u = trajectory[-1]
        trajectory.append(u - rate * u * ((u**2).sum(axis=0) - 1))
    trajectory = np.stack(trajectory)
    angle = np.linspace(0, 2 * np.pi, 200)
    axis.plot(np.cos(angle), np.sin(angle), color="white", lw=1, ls="--")
    for run in range(STARTS):
        axis.plot(*trajectory[:, :, run].T, color="C1", lw=1.6)
        axis.plot(*trajectory[-1, :, run], "*", color="C1", mec="black", mew=0.5, ms=9)
    beside(axis, 0, -1.2, "circle of minima", ha="center")
    axis.set(xlabel="$u_1$", ylabel="$u_2$", aspect="equal", xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    return trajectory[-1]


@nnflow.hookimpl
def nnflow_register(register):
    register("broken_symmetry", BrokenSymmetry)
