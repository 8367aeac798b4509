"""The modes of a descent from the identity."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, beside, lettered, note

NEAR = 0.05
"""Distance at which a mode is where it ends."""
COLUMNS = 2
"""Panels in a row."""


class IdentityModes(Figure):
    """Strengths of the modes of (I + V_K)⋯(I + V_1) in gradient descent from V = 0, against time
    (steps times rate): dots are the descent, lines the flow of each mode on its own, dashed lines
    the eigenvalues of the target. Modes with negative eigenvalues stall at 0."""

    needs = ("training", "identity_descent")

    most: PositiveInt = 4
    """Maximum number of panels."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        flows = results["identity_descent"]
        stall = flows["stall"]
        shown = [
            configuration
            for configuration in results.configurations
            if np.isfinite(stall.sel(configuration=configuration.label))
        ]
        shown = shown[: self.most]
        rows = max(1, math.ceil(len(shown) / COLUMNS))
        size = (WIDE, 0.8 + 1.95 * rows)
        figure, axes = plt.subplots(
            rows, COLUMNS, figsize=size, sharex=True, sharey="row", squeeze=False
        )
        for axis in axes.flat[len(shown) :]:
            axis.set_visible(False)
        for axis, configuration in zip(axes.flat, shown, strict=False):
            at = flows.sel(configuration=configuration.label)
            _panel(axis, configuration, at, results.at("training", configuration.label))
        for axis in axes[-1]:
            axis.set_xlabel("time")
        for axis in axes[:, 0]:
            axis.set_ylabel("strength of the mode")
        signs = [
            "positive definite" if min(one.settings.model.values) > 0 else "indefinite"
            for one in shown
        ]
        names = [f"K = {one.settings.model.depth}, " for one in shown]
        lettered(axes.flat[: len(shown)], *(a + b for a, b in zip(names, signs, strict=True)))
        figure.suptitle(_told(results, shown))
        note(figure, "dots: gradient descent, lines: flow of each mode", "dashed: targets",
             "after Bartlett, Helmbold & Long 2018")  # fmt: skip
        return figure


def _told(results, shown) -> str:
    """How many modes with a negative target end near 0, and how many others at their target."""
    counts = {True: [0, 0], False: [0, 0]}
    for configuration in shown:
        traced = results.at("training", configuration.label)["trace_strength"].values[0]
        last = traced[np.isfinite(traced).all(axis=1)][-1]
        for value, end in zip(configuration.settings.model.values, last, strict=True):
            counts[value < 0][1] += 1
            aim = 0.0 if value < 0 else value
            counts[value < 0][0] += abs(end - aim) < NEAR * max(1, abs(value))
    (reached, positive), (stalled, negative) = counts[False], counts[True]
    return (
        f"{stalled} of {negative} modes with a negative target stall at 0;"
        f" {reached} of {positive} others reach theirs"
    )


def _panel(axis, configuration, flow, trained) -> None:
    model = configuration.settings.model
    time = flow["flow_time"].values
    pace = 2 * model.factor * configuration.settings.optimizer.rate
    steps = pace * trained["trace_step"].values
    for mode, value in enumerate(model.values):
        color = ("C0", "C3", "C1", "C2")[mode % 4]
        traced = trained["trace_strength"].values[0, :, mode]
        axis.axhline(value, color=color, lw=0.7, ls="--")
        axis.plot(time, flow["flow_strength"].values[mode], color=color, lw=1)
        axis.plot(steps[1:], traced[1:], "o", ms=2, color=color)
    axis.set_xscale("log")
    for value in model.values:
        if value < 0:
            beside(axis, time[-1], 0.0, "stalls at 0", ha="right", va="bottom")
            name = "−" + f"{-value:g}"
            beside(axis, time[1], value, f"target {name}", va="bottom")


@nnflow.hookimpl
def nnflow_register(register):
    register("identity_modes", IdentityModes)
