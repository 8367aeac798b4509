"""Backpropagated errors by layer."""

from __future__ import annotations

import nnflow
from nnflow import Figure

from ...general.figures._page import note
from ._words import spelled

MARKS = "os^Dv"
TEXT = {"textcoords": "offset points", "fontsize": 7}
KINDS = {"mean": ("o", "C0"), "median": ("s", "C1"), "mean_log": ("^", "C2")}
WORDS = {"mean": "mean", "median": "median", "mean_log": "mean logarithm"}


class GradientPropagation(Figure):
    """‖δ_k‖² by layer, relative to the last one; the errors start at the output, on the right. (a)
    Mean over random networks with 99 % intervals (marks) beside χ₁^{K−k} (lines): they vanish or
    grow towards the input. (b) Mean (99 % intervals), median and e to the mean logarithm of one
    network; crosses are the mean (99 % intervals) where the matrices of the way back are
    independent ones."""

    needs = ("gradient_propagation",)

    told_apart: str = "relu 2 0"
    """Network of panel (b)."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["gradient_propagation"]
        figure, (means, kinds) = plt.subplots(
            1, 2, figsize=(6.75, 3.1), width_ratios=(1.5, 1), sharex=True
        )
        self._means(means, found)
        self._kinds(kinds, found.sel(network=self.told_apart))
        word = spelled(self.told_apart.split()[0])
        titles = (
            r"Errors change by $\chi_1$ a layer, towards the input",
            f"{word}: the median leaves the mean",
        )
        for letter, axis, title in zip("ab", (means, kinds), titles, strict=True):
            axis.set_title(f"({letter}) {title}", loc="left", fontsize=8)
            axis.set_xlabel("layer $k$")
            axis.tick_params(labelsize=7)
        for axis in (means, kinds):
            axis.set_ylabel(r"$\|\delta_k\|^2 / \|\delta_K\|^2$")
        note(figure, "bars: 99 % intervals", r"(a) lines: $\chi_1^{K-k}$")
        return figure

    def _means(self, axis, found):
        layer = found["layer"].values
        for place, name in enumerate(found["network"].values):
            one = found.sel(network=name)
            value, color = one["mean"].values, f"C{place}"
            ends = [value - one["mean_low"].values, one["mean_high"].values - value]
            axis.errorbar(layer, value, ends, fmt=MARKS[place % 5], color=color, ms=3.5, lw=0.8)
            axis.plot(layer, one["limit"], color=color, lw=0.8)
            word, weight, _ = str(name).split()
            chi1 = float(one["chi1"])
            label = rf"{spelled(word)} $\alpha_w^2 = {weight}$, $\chi_1 = {chi1:.2f}$"
            shrinks = chi1 < 1 - 1e-9
            at = len(layer) // 3 if float(one["limit"][0]) < 0.3 else 0
            axis.annotate(label, (layer[at], one["limit"][at]), (8, -13 if shrinks else 6), **TEXT)
        axis.set_yscale("log")
        axis.margins(y=0.15)  # room for the label of the highest line

    def _kinds(self, axis, one):
        layer = one["layer"].values
        for name, (mark, color) in KINDS.items():
            axis.plot(layer, one[name], mark, ls="-", color=color, ms=3, lw=0.8, label=WORDS[name])
        ends = [one["mean"] - one["mean_low"], one["mean_high"] - one["mean"]]
        axis.errorbar(layer, one["mean"], ends, fmt="none", color="C0", lw=0.8)
        free = one["independent"]
        ends = [free - one["independent_low"], one["independent_high"] - free]
        axis.errorbar(layer + 0.15, free, ends, fmt="x", color="black", ms=3.5, mew=0.8, lw=0.6,
                      label="mean, independent")  # fmt: skip
        axis.set_ylim(bottom=0)
        axis.legend(fontsize=6.5, loc="lower right", borderpad=0, handletextpad=0.4)


@nnflow.hookimpl
def nnflow_register(register):
    register("gradient_propagation", GradientPropagation)
