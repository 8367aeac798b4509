"""The way of linear networks with two modes, past their saddles."""

from __future__ import annotations

from itertools import product

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure


class LinearPhase(Figure):
    """Strengths of the two modes of a linear network along the gradient flow. Thin lines: random
    starts (dots), which all end at the global minimum (star). Thick lines: starts on the stable
    manifolds of the saddles (crosses), where one strength is 0 and stays 0."""

    needs = ("training",)

    runs: PositiveInt = 60
    """Random runs that are drawn."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, axis = plt.subplots(figsize=(4.2, 3.8))
        shown = [
            configuration
            for configuration in results.configurations
            if len(configuration.settings.model.widths) == 3
            and configuration.settings.model.widths[-1] == 2
            and configuration.settings.optimizer.name == "gradient_flow"
        ]
        for configuration in shown:
            balanced = hasattr(configuration.settings.initializer, "strengths")
            ways = results.at("training", configuration.label)["trace_strength"].values
            for way in ways[: 1 if balanced else self.runs]:
                way = way[np.isfinite(way).all(axis=1)]
                style = {"color": "C1", "lw": 2.2} if balanced else {"color": "0.4", "lw": 0.5}
                axis.plot(*way.T, zorder=3 if balanced else 1, **style)
                axis.plot(*way[0], "o", ms=2, color=style["color"])
        values = shown[0].settings.model.modes[1]
        for place in product((0, 1), repeat=2):
            best = all(place)
            style = {"marker": "*" if best else "X", "s": 110 if best else 50, "zorder": 4}
            label = "global minimum" if best else "saddles" if not any(place) else None
            color = "C2" if best else "C3"
            axis.scatter(*(values * place), color=color, label=label, edgecolor="white", **style)
        axis.set(xlabel="strength of the first mode", ylabel="strength of the second mode")
        axis.legend(loc="lower right")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_phase", LinearPhase)
