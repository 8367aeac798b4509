"""Saxe's solutions over simulated modes."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ....general.figures._page import HALF, WIDE, at_ends, lettered, note

DOTS = 24
"""Simulated times that are shown in each panel."""


class SaxeModes(Figure):
    """Strengths of the modes of balanced linear networks: dots from the gradient flow, crosses from
    gradient descent with the largest rate that the study has, both of the first run; lines
    from the exact solutions. One panel per depth."""

    needs = ("training", "saxe_modes")

    most: PositiveInt = 4
    """Maximum number of panels."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        solved = results["saxe_modes"]
        configurations = [p for p in results.configurations if p.label in solved["solved"].values][
            : self.most
        ]
        across = min(2, len(configurations))
        down = -(-len(configurations) // across)
        width = WIDE if across > 1 else HALF
        figure, axes = plt.subplots(down, across, figsize=(width, 0.7 + 2.2 * down), squeeze=False)
        for axis in axes.flat[len(configurations) :]:
            axis.set_visible(False)
        titles = []
        for axis, configuration in zip(axes.flat, configurations, strict=False):
            titles.append(_title(configuration, solved.sel(solved=configuration.label)))
            _panel(
                axis,
                configuration,
                results.at("training", configuration.label),
                solved.sel(solved=configuration.label),
            )
            descent = _descent(results.configurations, configuration)
            if descent:
                _crosses(axis, descent, results.at("training", descent.label))
        for axis in axes[:, 0]:
            axis.set_ylabel("strength of the mode")
        lettered(axes.flat[: len(configurations)], *titles)
        figure.legend(handles=_legend(), loc="outside lower center", ncols=3)
        figure.suptitle(_told(results, configurations, solved))
        note(figure, "the first run of each network", "after Saxe, McClelland & Ganguli 2013")
        return figure


def _title(configuration, exact) -> str:
    layers = len(configuration.settings.model.widths) - 1
    return f"{layers} layers, u₀ = {exact['solution'].values[0, 0]:.3g}"


def _told(results, configurations, solved) -> str:
    """The largest distance of the flow's first runs from the exact solutions, of the target."""
    most = 0.0
    for configuration in configurations:
        exact, trained = (
            solved.sel(solved=configuration.label),
            results.at("training", configuration.label),
        )
        time = trained["trace_step"].values * configuration.settings.optimizer.interval
        found = trained["trace_strength"].values[0]
        for mode, value in enumerate(configuration.settings.model.modes[1]):
            at = exact["solution_time"].values[mode]
            way = exact["solution"].values[mode]
            known = np.isfinite(found[:, mode]) & (time >= at[0]) & (time <= at[-1])
            apart = np.abs(np.interp(time[known], at, way) - found[known, mode]).max(initial=0)
            most = max(most, float(apart) / max(abs(value), abs(way[0])))
    return f"Modes follow Saxe's solutions within {100 * most:.1g} % of their strength"


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
        color = ("C0", "C3", "C1", "C2")[mode % 4]
        axis.plot(line, np.append(way[mode], values[mode]), color=color, lw=1)
        axis.plot(time[shown], found[shown, mode], "o", ms=3, color=color)
    if falling:
        # the start itself lies left of a logarithmic axis, and far above
        seen = np.interp(time[1] / 2, exact["solution_time"].values[0], way[0])
        axis.set(xscale="log", yscale="log", xlim=(time[1] / 2, last))
        axis.set_ylim(0.7 * min(values), 1.5 * seen)
    else:
        axis.set(xlim=(0, last), ylim=(None, 1.12 * max(values)))
    at_ends(axis, [(value, f"s = {value:g}", "0.2") for value in values])
    axis.set(xlabel="time")


def _descent(configurations, flow):
    """The point of gradient descent with the network and the start of a flow, and the largest
    rate; None where there is none."""

    def comparable(configuration):
        own, other = configuration.settings, flow.settings
        same = repr((own.model, own.initializer)) == repr((other.model, other.initializer))
        return same and own.optimizer.name == "gradient_descent"

    return max(
        filter(comparable, configurations), key=lambda p: p.settings.optimizer.rate, default=None
    )


def _crosses(axis, configuration, trained) -> None:
    time = trained["trace_step"].values * configuration.settings.optimizer.rate
    found = trained["trace_strength"].values[0]
    even = np.linspace(*axis.get_xlim(), DOTS + 1)[:-1] + axis.get_xlim()[1] / (2 * DOTS)
    shown = np.unique(np.abs(time[:, None] - even).argmin(axis=0))
    for mode in range(found.shape[1]):
        axis.plot(time[shown], found[shown, mode], "x", ms=4, mew=0.9, color="0.35", zorder=1)


def _legend() -> list:
    from matplotlib.lines import Line2D

    looks = {
        "exact": {"lw": 1},
        "gradient flow": {"marker": "o", "ms": 3, "ls": ""},
        "gradient descent": {"marker": "x", "ms": 4, "ls": "", "mew": 0.9},
    }
    return [Line2D([], [], color="0.3", label=name, **look) for name, look in looks.items()]


@nnflow.hookimpl
def nnflow_register(register):
    register("saxe_modes", SaxeModes)
