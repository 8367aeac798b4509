"""A function whose global minimum most starts miss."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, beside, lettered, percent

SLOW = {"every": 1, "mark": {"ls": "", "marker": "o", "color": "C0", "ms": 2, "zorder": 2}}
FAST = {"every": 20, "mark": {"ls": "", "marker": "x", "color": "C3", "ms": 6, "zorder": 3}}
"""Marks of runs with αM below 1 and above, and of which part of the runs."""


class MissedMinimum(Figure):
    """(a) The loss on the interval of starts with its minima; shaded: the basin of the global one.
    (b) Where runs end against where they start: in the valley of the start, with αM < 1 (all runs)
    and, on this function, with a larger rate (each twentieth run), too."""

    needs = ("basins", "initialization", "training")

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 2.9))
        settings = results.configurations[0].settings
        model, radius = settings.model, settings.initializer.radius
        minima, _ = model.stationary()
        low, high = _basin(model, radius)
        for axis in (left, right):
            axis.axvspan(low, high, color="0.88", lw=0)
            axis.set(xlim=(-radius, radius), xlabel="start $w$")
        w = np.linspace(-radius, radius, 801)
        left.plot(w, model.value(w), color="black", lw=1.2)
        inside = minima[np.abs(minima) < radius]
        left.plot(inside, model.value(inside), "o", color="C0", ms=4)
        best = minima[model.value(minima).argmin()]
        left.plot(best, model.value(best), "*", color="C3", ms=11)
        found = results["basins"]
        exact = float(found["exact_share"][0])
        beside(
            left, (low + high) / 2, 2.6, f"{percent(exact)}\nof all\nstarts", ha="center", va="top"
        )
        left.set_ylabel("loss $L(w)$")
        self._ends(right, results)
        lettered((left, right), "the loss", "ends of runs")
        figure.suptitle(
            f"{percent(1 - exact)} of the starts end in another valley than the lowest",
            fontsize=9,
        )
        return figure

    def _ends(self, axis, results) -> None:
        for place, configuration in enumerate(results.configurations):
            start = results.at("initialization", configuration.label)["w"].values[:1000, 0]
            end = results.at("training", configuration.label)["w"].values[:1000, 0]
            relative = float(results["basins"]["relative_rate"][place])
            style = FAST if relative > 1 else SLOW
            shown = np.argsort(start)[:: style["every"]]
            axis.plot(
                start[shown], end[shown], label=rf"$\alpha M={relative:.2f}$", **style["mark"]
            )
        axis.legend(loc="upper left", fontsize=7, handletextpad=0.1)
        axis.set_ylabel("end")


def _basin(model, radius: float) -> tuple[float, float]:
    """The ends of the basin of the global minimum, inside of the starts."""
    minima, maxima = model.stationary()
    best = int(np.argmin(model.value(minima)))
    edges = np.concatenate([[-np.inf], maxima, [np.inf]])
    low, high = np.clip(edges[best : best + 2], -radius, radius)
    return float(low), float(high)


@nnflow.hookimpl
def nnflow_register(register):
    register("missed_minimum", MissedMinimum)
