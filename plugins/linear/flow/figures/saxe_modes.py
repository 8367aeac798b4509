"""Saxe's solutions over simulated modes."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

DOTS = 24
"""Simulated times that are shown in each panel."""


class SaxeModes(Figure):
    """Strengths of the modes of balanced linear networks: dots from the gradient flow, crosses from
    gradient descent with the largest rate that the study has, both of the first run; lines
    from the exact solutions. One panel per depth."""

    needs = ("training", "saxe_modes")

    most: PositiveInt = 4
    """At most so many panels."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        solved = results["saxe_modes"]
        configurations = [p for p in results.configurations if p.label in solved["solved"].values][
            : self.most
        ]
        size = (2.5 * len(configurations) + 0.4, 2.7)
        figure, axes = plt.subplots(1, len(configurations), figsize=size, squeeze=False)
        for axis, configuration in zip(axes[0], configurations, strict=True):
            _panel(
                axis,
                configuration,
                results.at("training", configuration.label),
                solved.sel(solved=configuration.label),
            )
            descent = _descent(results.configurations, configuration)
            if descent:
                _crosses(axis, descent, results.at("training", descent.label))
        axes[0, 0].set_ylabel("strength of the mode")
        axes[0, -1].legend(handles=_legend(), loc="upper right")
        return figure


def _panel(axis, configuration, trained, exact) -> None:
    model = configuration.settings.model
    time = trained["trace_step"].values * configuration.settings.optimizer.interval
    found = trained["trace_strength"].values[0]
    values = model.modes[1]
    # as long as the slowest mode is on its way
    way = exact["solution"].values
    near = np.abs(way - values[:, None]) < 0.005 * np.abs(values - way[:, 0])[:, None]
    last = np.where(near, exact["solution_time"].values, np.inf).min(axis=1).max()
    # dots evenly spaced over the panel, from the times that were recorded
    falling = way[0, 0] > values[0]
    even = np.geomspace(time[1], last, DOTS) if falling else np.linspace(0, last, DOTS)
    shown = np.unique(np.abs(time[:, None] - even).argmin(axis=0))
    for mode in range(len(values)):
        line = np.append(exact["solution_time"][mode], 2 * last)
        axis.plot(line, np.append(way[mode], values[mode]), color=f"C{mode}", lw=1)
        axis.plot(time[shown], found[shown, mode], "o", ms=3, color=f"C{mode}")
    if falling:
        axis.set(xscale="log", yscale="log", xlim=(time[1] / 2, last))
    else:
        axis.set(xlim=(0, last))
    axis.set(xlabel="time")
    axis.set_title(f"{len(model.widths) - 1} layers, u₀ = {way[0, 0]:.3g}", fontsize="medium")


def _descent(configurations, flow):
    """The point of gradient descent with the network and the start of a flow, and the largest
    rate; None where there is none."""

    def alike(configuration):
        own, other = configuration.settings, flow.settings
        same = repr((own.model, own.initializer)) == repr((other.model, other.initializer))
        return same and own.optimizer.name == "gradient_descent"

    return max(filter(alike, configurations), key=lambda p: p.settings.optimizer.rate, default=None)


def _crosses(axis, configuration, trained) -> None:
    time = trained["trace_step"].values * configuration.settings.optimizer.rate
    found = trained["trace_strength"].values[0]
    even = np.linspace(*axis.get_xlim(), DOTS + 1)[:-1] + axis.get_xlim()[1] / (2 * DOTS)
    shown = np.unique(np.abs(time[:, None] - even).argmin(axis=0))
    for mode in range(found.shape[1]):
        axis.plot(time[shown], found[shown, mode], "x", ms=4, mew=0.9, color=f"C{mode}")


def _legend() -> list:
    from matplotlib.lines import Line2D

    looks = {
        "exact": {"lw": 1},
        "gradient flow": {"marker": "o", "ms": 3, "ls": ""},
        "gradient descent": {"marker": "x", "ms": 4, "ls": ""},
    }
    return [Line2D([], [], color="0.3", label=name, **look) for name, look in looks.items()]


@nnflow.hookimpl
def nnflow_register(register):
    register("saxe_modes", SaxeModes)
