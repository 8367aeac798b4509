"""Symmetric ReLU networks: vector fields, trajectories, training curves."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, beside, lettered, note

STEPS = 1000
"""Steps of the training curves, as published."""
FIELDS = 2
"""Vector fields drawn: those of the smallest K."""
NEAR = 1e-6
"""Squared distance from the teacher within which a path has reached it."""


class SymmetricDynamics(Figure):
    """(a), (b) Gradient flow of (x, y) for symmetric networks of K neurons, with the invariant line
    x = y (dashed), its saddle (cross), the teacher (1, 0) (star) and runs of gradient descent
    (red); starts in the shaded region do not end at the teacher. (c) The first run of each K
    with dots every 100 steps and lines from the saddle to the teacher. (d) Its error. After Tian
    2017, Fig. 8."""

    needs = ("training", "symmetric_dynamics")

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["symmetric_dynamics"]
        figure, axes = plt.subplots(2, 2, figsize=(WIDE, 5.8))
        pairs = list(results.each("training"))
        widths = [configuration.settings.model.k for configuration, _ in pairs]
        for axis, (configuration, trained) in zip(axes[0], pairs[:FIELDS], strict=False):
            _field(axis, analysis.sel(configuration=configuration.label), trained)
        for number, (configuration, trained) in enumerate(pairs):
            k, color = configuration.settings.model.k, f"C{number}"
            at = analysis.sel(configuration=configuration.label)
            _path(axes[1, 0], k, at, trained, color)
            step = trained["trace_step"].values
            shown = step <= STEPS
            axes[1, 1].plot(step[shown], trained["trace_error"][0, shown], color=color)
            _name(axes[1, 1], step[shown], trained["trace_error"].values[0, shown], k, color)
        axes[1, 0].set(xlabel="x", ylabel="y", xlim=(0, 1.04), ylim=(0, 0.6))
        axes[1, 1].set(xlabel="step", ylabel="error $(x-1)^2+(K-1)y^2$", yscale="log")
        fields = [f"gradient flow, K = {k}" for k in widths[:FIELDS]]
        lettered(axes.flat, *fields, "first run of each K", "its error")
        figure.suptitle(_told(pairs))
        note(figure, "after Tian 2017, Fig. 8")
        return figure


def _told(pairs) -> str:
    """How many of the runs that start off the line x = y reach the teacher."""
    off = reached = 0
    for _, trained in pairs:
        x, y = trained["trace_x"].values, trained["trace_y"].values
        begun = x[:, 0] > y[:, 0]
        last = np.isfinite(x).cumsum(axis=1).argmax(axis=1)
        ends = [v[np.arange(len(v)), last] for v in (x, y)]
        near = (ends[0] - 1) ** 2 + ends[1] ** 2 < NEAR
        off, reached = off + begun.sum(), reached + (begun & near).sum()
    return f"{reached} of {off} runs that start below the line x = y reach the teacher"


def _field(axis, at, trained) -> None:
    x, y = at["place_x"].values, at["place_y"].values
    away = (at["end_x"].values - 1) ** 2 + at["end_y"].values ** 2 > NEAR
    axis.pcolormesh(x, y, np.where(away, 1.0, 0.0), cmap="Greys", vmin=0, vmax=6, shading="nearest")
    flow = np.nan_to_num(at["velocity_x"].values), np.nan_to_num(at["velocity_y"].values)
    axis.streamplot(x, y, *flow, color="0.55", density=0.9, linewidth=0.5, arrowsize=0.6)
    axis.plot([0, 1], [0, 1], color="black", lw=0.8, ls="--")
    for run in range(trained.sizes["run"]):
        axis.plot(trained["trace_x"][run], trained["trace_y"][run], color="C3", lw=1.1)
        axis.plot(trained["trace_x"][run, 0], trained["trace_y"][run, 0], "o", color="C3", ms=3)
    saddle = float(at["saddle"])
    axis.plot(saddle, saddle, "X", color="black", ms=7)
    axis.plot(1, 0, "*", color="black", ms=10, clip_on=False, zorder=5)
    beside(axis, 0.06, 0.9, "ends elsewhere")
    beside(axis, 0.98, 0.08, "teacher", ha="right")
    axis.set(xlim=(0, 1.02), ylim=(0, 1), xlabel="x", ylabel="y", aspect="equal")


def _path(axis, k: int, at, trained, color: str) -> None:
    step = trained["trace_step"].values
    x, y = trained["trace_x"].values[0], trained["trace_y"].values[0]
    axis.plot(x, y, color=color)
    hundreds = np.arange(0, STEPS + 1, 100)
    going = np.isfinite(x)
    axis.plot(
        *(np.interp(hundreds, step[going], part[going]) for part in (x, y)),
        "o", color=color, ms=3,
    )  # fmt: skip
    saddle = float(at["saddle"])
    axis.plot(saddle, saddle, "X", color=color, ms=7)
    axis.plot([saddle, 1], [saddle, 0], color=color, lw=0.7, ls=":")
    beside(axis, saddle - 0.03, saddle + 0.01, f"K = {k}", ha="right")


def _name(axis, step, error, k: int, color: str) -> None:
    """K beside its curve, towards the end of its way."""
    known = np.flatnonzero(np.isfinite(error) & (error > 0))
    if len(known):
        place = known[np.abs(step[known] - 0.6 * step[known[-1]]).argmin()]
        beside(axis, step[place], 2 * error[place], f"K = {k}", va="bottom")


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_dynamics", SymmetricDynamics)
