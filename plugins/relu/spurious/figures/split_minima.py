"""What splitting a neuron does to the symmetric critical points."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import HALF, note


class SplitMinima(Figure):
    """Lowest eigenvalue of the whole Hessian after a neuron of a symmetric critical point is split
    in two or in three, against the second variation along the split, an upper bound: on the line
    the two are equal. Every split whose eigenvalue is negative is a saddle."""

    needs = ("split_minima",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        split = results["split_minima"]
        figure, axis = plt.subplots(figsize=(HALF, 3.0))
        more = split["students"].values - _widths(results, split)
        lowest, along = -split["lowest"].values, -split["second_variation"].values
        looks = {1: ("o", "C0", "in two, n = k + 1"), 2: ("x", "C3", "in three, n = k + 2")}
        for count, (mark, color, text) in looks.items():
            some = more == count
            axis.plot(along[some], lowest[some], mark, color=color, ms=3.5, mew=0.9, label=text)
        limits = np.array([lowest.min() * 0.8, lowest.max() * 1.2])
        axis.plot(limits, limits, color="0.5", lw=0.8, zorder=0)
        axis.set(xscale="log", yscale="log")
        axis.set_xlabel("−λ by the second variation along the split")
        axis.set_ylabel("−λ, lowest Hessian eigenvalue")
        middle = float(np.exp(np.log(limits).mean()))
        axis.annotate(
            "the split itself is\nthe steepest way down", (middle, middle), (12, -22),
            textcoords="offset points", fontsize=7,
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": "0.4"},
        )  # fmt: skip
        axis.legend(loc="upper left", title="split")
        negative = int((split["lowest"].values < 0).sum())
        total = split.sizes[split["lowest"].dims[0]]
        every = f"All {total}" if negative == total else f"{negative} of {total}"
        figure.suptitle(f"{every} splits of a neuron are saddles")
        note(figure, "after Safran, Yehudai & Shamir 2021")
        return figure


def _widths(results, split) -> np.ndarray:
    """k of each case."""
    k = {
        configuration.label: configuration.settings.model.k
        for configuration in results.configurations
    }
    return np.array([k[where] for where in split["where"].values.tolist()])


@nnflow.hookimpl
def nnflow_register(register):
    register("split_minima", SplitMinima)
