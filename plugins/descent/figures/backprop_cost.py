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
    and quartiles; where W is small, the time that any call takes hides its operations. Slopes are
    those between the two largest W, of times with what the quartiles allow."""

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
        )  # fmt: skip
        first = min(1, len(weights) - 1)
        _word(counts, weights[first], found["forward"].values[first], "loss alone", (4, -9), "left")
        for name, timed, text, color, mark, line in KINDS:
            known = np.isfinite(found[name].values)
            _line(counts, weights[known], found[name].values[known], text, color, mark, line)
            if len(times):
                rows = times[times["name"] == timed].sort_values("weights")
                middle = rows["median"].values
                spans = (middle - rows["low"].values, rows["high"].values - middle)
                below = name == "backprop"  # it is the lower curve, and flat
                _line(clock, rows["weights"].values, middle, text, color, mark, line, spans, below)
        counts.set(ylabel="operations", xlabel="weights $W$")
        clock.set(ylabel="seconds", xlabel="weights $W$")
        for axis, letter, text in ((counts, "a", "operations"), (clock, "b", "time")):
            axis.set(xscale="log", yscale="log", xlim=(100, 2 * weights[-1]))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_ylim(axis.get_ylim()[0] / 2, 3 * axis.get_ylim()[1])  # room for words
            axis.set_title(f"({letter}) {text}", loc="left", fontsize=7)
        return figure


def _line(axis, weights, values, text, color, mark, line, spans=None, below=False) -> None:
    """A curve with its name and the slope at its end; nothing where there are no values."""
    if not len(values):
        return
    if len(values) > 1:
        text = f"{text}, slope {_slope(weights, values, spans)}"
    axis.errorbar(weights, values, spans, fmt=mark, ls=line, color=color, ms=4, lw=1.2)
    _word(axis, weights[-1], values[-1], text, (-2, -12 if below else 6), "right")


def _word(axis, x, y, text: str, shift, side: str) -> None:
    """A name beside a curve."""
    axis.annotate(text, (x, y), shift, textcoords="offset points", fontsize=7, ha=side)


def _slope(weights, values, spans) -> str:
    """Between the last two points; with the least and largest that their quartiles allow."""
    run = np.diff(np.log(weights))[-1]
    slope = f"{np.diff(np.log(values))[-1] / run:.2f}"
    if spans is None:
        return slope
    low, high = np.log(values - spans[0]), np.log(values + spans[1])
    ends = (low[-1] - high[-2]) / run, (high[-1] - low[-2]) / run
    return "{} ({:.2f} to {:.2f})".format(slope, *ends).replace("-", "−")


@nnflow.hookimpl
def nnflow_register(register):
    register("backprop_cost", BackpropCost)
