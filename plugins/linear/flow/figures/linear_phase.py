"""The way of linear networks with two modes, past their saddles."""

from __future__ import annotations

from itertools import product

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ....general.figures._page import HALF, beside, note

NEAR = 1e-2
"""Distance from the minimum, of its largest strength, within which a run has reached it."""
GRID = 25
"""Places of the flow's arrows along each side."""


class LinearPhase(Figure):
    """Strengths of the two modes of a linear network along the gradient flow. Grey: the flow of
    balanced networks. Thin lines: random starts (dots). Thick lines: starts on the stable manifolds
    of the saddles (crosses), where one strength is 0 and stays 0. Star: the global minimum.
    Trajectories are drawn through the recorded steps by curves that keep their direction."""

    needs = ("training",)

    runs: PositiveInt = 30
    """Random runs that are drawn."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, axis = plt.subplots(figsize=(HALF, 3.5))
        shown = [
            configuration
            for configuration in results.configurations
            if len(configuration.settings.model.widths) == 3
            and configuration.settings.model.widths[-1] == 2
            and configuration.settings.optimizer.name == "gradient_flow"
        ]
        values = np.array(shown[0].settings.model.modes[1])
        ended = total = 0
        for configuration in shown:
            balanced = hasattr(configuration.settings.initializer, "strengths")
            ways = results.at("training", configuration.label)["trace_strength"].values
            ways = [way[np.isfinite(way).all(axis=1)] for way in ways]
            if not balanced:
                total += len(ways)
                ended += sum(np.abs(way[-1] - values).max() < NEAR * values.max() for way in ways)
            for way in ways[: 1 if balanced else self.runs]:
                style = {"color": "C3", "lw": 2} if balanced else {"color": "C0", "lw": 0.6}
                axis.plot(*_smooth(way).T, zorder=3 if balanced else 2, **style)
                axis.plot(*way[0], "o", ms=2, color=style["color"], zorder=3)
        _flow(axis, values)
        for place in product((0, 1), repeat=2):
            best = all(place)
            style = {"marker": "*" if best else "X", "s": 110 if best else 50, "zorder": 4}
            axis.scatter(*(values * place), color="black" if best else "C3", ec="white", **style)
        beside(axis, values[0], 1.12 * values[1], "global minimum", ha="center", va="bottom")
        beside(axis, 0, -0.1 * values[1], "saddle", ha="center", va="top")
        beside(axis, values[0], -0.1 * values[1], "saddle", ha="center", va="top")
        beside(axis, 0, 1.1 * values[1], "saddle", ha="center", va="bottom")
        axis.set(xlabel="strength of the first mode", ylabel="strength of the second mode")
        figure.suptitle(f"{ended} of {total} random starts end at the global minimum")
        note(figure, "grey: flow of balanced networks", "thick: starts on stable manifolds")
        return figure


def _smooth(way: np.ndarray) -> np.ndarray:
    """A monotone curve through the recorded places, by their number."""
    from scipy.interpolate import PchipInterpolator

    if len(way) < 3:
        return way
    return PchipInterpolator(np.arange(len(way)), way)(np.linspace(0, len(way) - 1, 20 * len(way)))


def _flow(axis, values) -> None:
    """du_j/dt = 2 u_j (s_j − u_j), the flow of balanced networks of two layers."""
    (left, right), (low, high) = axis.get_xlim(), axis.get_ylim()
    x, y = np.linspace(left, right, GRID), np.linspace(low, high, GRID)
    u, v = np.meshgrid(x, y)
    speed = (2 * np.abs(u) * (values[0] - u), 2 * np.abs(v) * (values[1] - v))
    axis.streamplot(x, y, *speed, color="0.8", density=0.8, linewidth=0.5, arrowsize=0.6, zorder=0)
    axis.set(xlim=(left, right), ylim=(low, high))


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_phase", LinearPhase)
