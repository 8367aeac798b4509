"""Operations and time of a gradient against the number of weights."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

KINDS = (
    ("backprop", "gradient", "backpropagation", "C0", "o", "-"),
    ("differences", "differences", "finite differences", "C3", "s", "--"),
)


class BackpropCost(Figure):
    """What loss and gradient of a network with W weights cost at a fixed number of samples.
    (a) Operations of matrix products, exact. (b) Time on the machine that made this report: median
    and quartiles. Numbers at the lines: their slopes between the two largest W."""

    needs = ("backprop_cost",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found, times = results["backprop_cost"], results.timings("backprop_cost")
        figure, (counts, clock) = plt.subplots(
            1, 2, figsize=(6.75, 2.9), sharex=True, layout="constrained"
        )
        figure.suptitle(
            "Backpropagation costs three losses at most, finite differences $W+1$",
            fontsize="medium",
        )
        weights = found["weights"].values
        counts.plot(weights, found["forward"], color="0.4", lw=1, ls=":", marker="^", ms=4)
        counts.text(weights[-1], found["forward"].values[-1] / 3, "loss alone", fontsize="small",
                    color="0.4", ha="right", va="top")  # fmt: skip
        for name, timed, text, color, mark, line in KINDS:
            known = np.isfinite(found[name].values)
            _line(counts, weights[known], found[name].values[known], text, color, mark, line)
            if len(times):
                rows = times[times["name"] == timed].sort_values("weights")
                middle = rows["median"].values
                spans = (middle - rows["low"].values, rows["high"].values - middle)
                _line(clock, rows["weights"].values, middle, text, color, mark, line, spans)
        counts.set(ylabel="operations", xlabel="weights $W$")
        clock.set(ylabel="seconds", xlabel="weights $W$")
        for axis, letter, text in ((counts, "a", "operations"), (clock, "b", "time")):
            axis.set(xscale="log", yscale="log")
            axis.set_title(f"({letter}) {text}", loc="left", fontsize="small")
        return figure


def _line(axis, weights, values, text, color, mark, line, spans=None) -> None:
    """A curve with its name and the slope at its end; nothing where there are no values."""
    if not len(values):
        return
    axis.errorbar(weights, values, spans, fmt=mark, ls=line, color=color, ms=4, lw=1.2)
    if len(values) > 1:
        slope = np.diff(np.log(values))[-1] / np.diff(np.log(weights))[-1]
        text = f"{text}\nslope {slope:.2f}"
    middle = len(values) // 2
    axis.annotate(
        text, (np.sqrt(weights[middle - 1] * weights[middle]),
               np.sqrt(values[middle - 1] * values[middle])),
        (-6, 4), textcoords="offset points", fontsize="small", color=color, ha="right", va="bottom",
    )  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("backprop_cost", BackpropCost)
