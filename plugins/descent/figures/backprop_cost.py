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
    and quartiles; where W is small, the time that any call takes hides its operations. Numbers in
    the legends: slopes between the two largest W, of times with what the quartiles allow."""

    needs = ("backprop_cost",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import NullFormatter

        found, times = results["backprop_cost"], results.timings("backprop_cost")
        figure, (counts, clock) = plt.subplots(
            1, 2, figsize=(6.75, 2.9), sharex=True, layout="constrained"
        )
        figure.suptitle(
            "Backpropagation costs three losses at most, finite differences $W+1$",
            fontsize="medium",
        )
        weights = found["weights"].values
        counts.plot(
            weights, found["forward"], color="0.4", lw=1, ls=":", marker="^", ms=4,
            label="loss alone",
        )  # fmt: skip
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
            axis.set(xscale="log", yscale="log", xlim=(100, 2 * weights[-1]))
            axis.xaxis.set_minor_formatter(NullFormatter())
            if axis.get_legend_handles_labels()[0]:
                axis.set_ylim(top=200 * axis.get_ylim()[1])  # room for the legend
                axis.legend(fontsize=7, loc="upper left")
            axis.set_title(f"({letter}) {text}", loc="left", fontsize=7)
        return figure


def _line(axis, weights, values, text, color, mark, line, spans=None) -> None:
    """A curve, and the slope at its end for the legend; nothing where there are no values."""
    if not len(values):
        return
    if len(values) > 1:
        text = f"{text}, slope {_slope(weights, values, spans)}"
    axis.errorbar(
        weights, values, spans, fmt=mark, ls=line, color=color, ms=4, lw=1.2, label=text
    )  # fmt: skip


def _slope(weights, values, spans) -> str:
    """Between the last two points; with the least and largest that their quartiles allow."""
    run = np.diff(np.log(weights))[-1]
    slope = f"{np.diff(np.log(values))[-1] / run:.2f}"
    if spans is None:
        return slope
    low, high = np.log(values - spans[0]), np.log(values + spans[1])
    return f"{slope} ({(low[-1] - high[-2]) / run:.2f}–{(high[-1] - low[-2]) / run:.2f})"


@nnflow.hookimpl
def nnflow_register(register):
    register("backprop_cost", BackpropCost)
