"""The explicit maps of ReLU and the depth scales beside what signals do."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import note
from .._panels import titled

STYLES = (("o", "C0"), ("s", "C1"), ("^", "C2"))
TEXT = {"fontsize": 7, "textcoords": "offset points"}
MARKED = 12
"""Marks on each curve of panel (c)."""


class SignalAnswers(Figure):
    """Three exercises of the lecture. (a), (b) One layer of random ReLU networks at α_w² = 1.5,
    α_h² = .2: means with 99 % intervals (marks; most are smaller than these), and the explicit maps
    of lengths and of correlations (lines); thin, the diagonal. (c) Distances of lengths (open) and
    correlations (filled) of tanh networks from their fixed points by layer, over the first one
    (marks), and e^(−k/ξ_q), e^(−k/ξ_c) (lines, through the last mark)."""

    needs = ("signal_answers",)

    lowest: float = 1e-8
    """Distances below are not drawn."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["signal_answers"]
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.8))
        for axis, name, start, symbol in (
            (axes[0], "relu_length", "start", "q"),
            (axes[1], "relu_correlation", "start_correlation", "c"),
        ):
            x, y = found[start].values, found[name].values
            ends = [y - found[f"{name}_low"].values, found[f"{name}_high"].values - y]
            axis.plot(x, found[f"{name}_map"], color="C0", lw=1)
            axis.errorbar(x, y, ends, fmt="o", color="black", ms=3, lw=0.8)
            axis.plot(x[[0, -1]], x[[0, -1]], color="0.5", lw=0.6)
            axis.set(xlabel=f"${symbol}_{{k-1}}$", ylabel=f"${symbol}_k$")
        self._decays(axes[2], found)
        titles = (
            "ReLU: lengths follow\ntheir explicit map",
            "ReLU: correlations follow\ntheir explicit map",
            "tanh: the start is forgotten\nas $e^{-k/\\xi}$",
        )
        titled(axes, titles)
        note(figure, "lines: the maps and laws", "(c) filled: correlations, open: lengths")
        return figure

    def _decays(self, axis, found):
        layer, end = found["layer"].values, 0
        for number, name in enumerate(found["network"].values):
            mark, color = STYLES[number % len(STYLES)]
            one = found.sel(network=name)
            for kind, face in (("length", "white"), ("correlation", color)):
                gap, scale = one[f"{kind}_gap"].values, float(one[f"{kind}_scale"])
                shown = np.arange(int(np.argmax(gap < self.lowest)) or len(gap))
                some = np.unique(np.linspace(0, shown[-1], MARKED).round().astype(int))
                axis.plot(layer[some], gap[some], mark, color=color, mfc=face, ms=3.5, zorder=3)
                last = some[-1]
                axis.plot(layer[shown], gap[last] * np.exp((last - layer[shown]) / scale),
                          color=color, lw=0.8)  # fmt: skip
                end = max(end, last)
                if kind == "correlation":
                    weight, at = str(name).split()[1], some[(1 + number) * len(some) // 3]
                    axis.annotate(rf"$\alpha_w^2 = {weight}$", (layer[at], gap[at]), (6, 2),
                                  **TEXT)  # fmt: skip
        axis.set(yscale="log", xlabel="layer $k$", ylabel="distance, over the first",
                 ylim=(self.lowest, 3), xlim=(0, 1.02 * layer[end]))  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_answers", SignalAnswers)
