"""Symmetric ReLU networks: vector fields, trajectories, training curves."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

STEPS = 1000
"""Steps of the training curves, as published."""
FIELDS = 2
"""Vector fields drawn: those of the smallest K."""


class SymmetricDynamics(Figure):
    """Upper row: gradient flow of (x, y) for symmetric networks of K neurons (grey), with the
    invariant line x = y (dashed), its saddle (cross), the teacher (1, 0) (star) and runs of
    gradient descent (red); starts in the shaded region do not end at the teacher. Lower row: the
    first run of each K with dots every 100 steps and lines from the saddle to the teacher; its
    error (x − 1)² + (K − 1)y²."""

    needs = ("training", "symmetric_dynamics")

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["symmetric_dynamics"]
        figure, axes = plt.subplots(2, 2, figsize=(7.2, 6.0), layout="constrained")
        pairs = list(results.each("training"))
        for axis, (configuration, trained) in zip(axes[0], pairs[:FIELDS], strict=False):
            _field(
                axis,
                configuration.settings.model.k,
                analysis.sel(configuration=configuration.label),
                trained,
            )
        for number, (configuration, trained) in enumerate(pairs):
            k, color = configuration.settings.model.k, f"C{number}"
            at = analysis.sel(configuration=configuration.label)
            _path(axes[1, 0], k, at, trained, color)
            step = trained["trace_step"].values
            shown = step <= STEPS
            axes[1, 1].plot(step[shown], trained["trace_error"][0, shown], color=color, label=k)
        axes[1, 0].set(xlabel="x", ylabel="y", xlim=(0, 1.03), ylim=(0, 0.6))
        axes[1, 1].set(xlabel="step", ylabel=r"error $(x-1)^2+(K-1)y^2$", yscale="log")
        axes[1, 1].legend(title="K", loc="lower left")
        return figure


def _field(axis, k: int, at, trained) -> None:
    x, y = at["place_x"].values, at["place_y"].values
    away = (at["end_x"].values - 1) ** 2 + at["end_y"].values ** 2 > 1e-6
    axis.pcolormesh(x, y, np.where(away, 1.0, 0.0), cmap="Greys", vmin=0, vmax=8, shading="nearest")
    flow = np.nan_to_num(at["velocity_x"].values), np.nan_to_num(at["velocity_y"].values)
    axis.streamplot(x, y, *flow, color="0.6", density=1.0, linewidth=0.5, arrowsize=0.6)
    axis.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--")
    for run in range(trained.sizes["run"]):
        axis.plot(trained["trace_x"][run], trained["trace_y"][run], color="C3", lw=1.1)
        axis.plot(trained["trace_x"][run, 0], trained["trace_y"][run, 0], "o", color="C3", ms=3)
    saddle = float(at["saddle"])
    axis.plot(saddle, saddle, "X", color="black", ms=7)
    axis.plot(1, 0, "*", color="black", ms=10, clip_on=False, zorder=5)
    axis.set(xlim=(0, 1), ylim=(0, 1), xlabel="x", ylabel="y", aspect="equal", title=f"K = {k}")


def _path(axis, k: int, at, trained, color: str) -> None:
    step = trained["trace_step"].values
    x, y = trained["trace_x"].values[0], trained["trace_y"].values[0]
    axis.plot(x, y, color=color, label=k)
    hundreds = np.arange(0, STEPS + 1, 100)
    going = np.isfinite(x)
    axis.plot(
        *(np.interp(hundreds, step[going], part[going]) for part in (x, y)),
        "o", color=color, ms=3,
    )  # fmt: skip
    saddle = float(at["saddle"])
    axis.plot(saddle, saddle, "X", color=color, ms=7)
    axis.plot([saddle, 1], [saddle, 0], color=color, lw=0.7, ls=":")


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_dynamics", SymmetricDynamics)
