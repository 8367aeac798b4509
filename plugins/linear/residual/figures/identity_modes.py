"""The modes of a descent from the identity."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

COLUMNS = 2
"""Panels in a row."""


class IdentityModes(Figure):
    """Strengths of the modes of (I + V_K)⋯(I + V_1) in gradient descent from V = 0, against time
    (steps times rate): dots are the descent, lines the flow of each mode on its own, dashed lines
    the eigenvalues of the target. Modes with negative eigenvalues stall at 0."""

    needs = ("training", "identity_descent")

    most: PositiveInt = 4
    """At most so many panels."""

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
        size = (7.2, 0.5 + 2.3 * rows)
        figure, axes = plt.subplots(
            rows, COLUMNS, figsize=size, sharex=True, sharey=True, squeeze=False
        )
        for axis in axes.flat[len(shown) :]:
            axis.set_visible(False)
        for axis, configuration in zip(axes.flat, shown, strict=False):
            at = flows.sel(configuration=configuration.label)
            _panel(axis, configuration, at, results.at("training", configuration.label))
        for axis in axes[-1]:
            axis.set_xlabel("time")
        for axis in axes[:, 0]:
            axis.set_ylabel("strength")
        return figure


def _panel(axis, configuration, flow, trained) -> None:
    model = configuration.settings.model
    time = flow["flow_time"].values
    pace = 2 * model.factor * configuration.settings.optimizer.rate
    steps = pace * trained["trace_step"].values
    for mode, value in enumerate(model.values):
        color = f"C{mode}"
        traced = trained["trace_strength"].values[0, :, mode]
        axis.axhline(value, color=color, lw=0.7, ls="--")
        axis.plot(time, flow["flow_strength"].values[mode], color=color, lw=1)
        axis.plot(steps[1:], traced[1:], "o", ms=2, color=color)
    axis.set_xscale("log")
    signs = "positive definite" if min(model.values) > 0 else "indefinite"
    axis.set_title(f"K = {model.depth}, {signs} target", fontsize="medium")


@nnflow.hookimpl
def nnflow_register(register):
    register("identity_modes", IdentityModes)
