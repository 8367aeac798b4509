"""Mixtures of networks beside lines of weights, and pairs of trained networks by width."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import ink, note
from .._panels import titled

TEXT = {"textcoords": "offset points", "fontsize": 7}
MARKS = "os^"


class MeanField(Figure):
    """(a) The loss of pairs of random networks less the chord: along mixtures of the laws of their
    neurons (solid) it lies below, along straight lines of weights (dashed) often above. (b) Two
    trained networks by width: root mean square distance of functions (open) and of neurons after
    the best matching (filled), geometric means with 99 % intervals; D is the number of coordinates
    of a neuron, σ the first activation of the study, thin lines have the slopes −1/2 and −1/D."""

    needs = ("mean_field_mixtures", "mean_field_pairs")

    shown: int = 12
    """Pairs in panel (a)."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (mixtures, pairs) = plt.subplots(1, 2, figsize=(6.75, 3.0))
        found = results["mean_field_mixtures"].isel(pair=slice(self.shown))
        s, chord = found["s"].values, found["chord"].values
        mixtures.plot(s, (found["line"].values - chord).T, "--", color="C1", lw=0.7)
        mixtures.plot(s, (found["mixture"].values - chord).T, color="C0", lw=0.9)
        mixtures.axhline(0, color="black", lw=0.8)
        low, high = mixtures.get_ylim()
        mixtures.set_ylim(low, high + 0.12 * (high - low))
        mixtures.set(xlabel="$s$", ylabel="loss − chord", xlim=(0, 1))
        inside = {"xycoords": "axes fraction", "fontsize": 7}
        mixtures.annotate(
            "lines of weights (dashed)", (0.03, 0.98), color=ink("C1"), va="top", **inside
        )
        mixtures.annotate("mixtures (solid)", (0.03, 0.05), color="C0", **inside)
        self._pairs(pairs, results["mean_field_pairs"].isel(activation=0))
        titles = "Convex in the law, not in the weights", "Functions meet sooner than neurons"
        titled((mixtures, pairs), titles, 9)
        note(figure, "(b) 99 % intervals", "thin: slopes −1/2 and −1/$D$")
        return figure

    def _pairs(self, axis, found):
        n = found["width"].values.astype(float)
        for place, size in enumerate(found["dimension"].values):
            one = found.sel(dimension=size)
            neurons = one["neuron_distance"].sel(kind="trained").values
            for values, face, power, word in (
                (neurons, f"C{place}", 1 / size, f"neurons, $D = {size}$"),
                (one["function_distance"].values, "white", 0.5, f"functions, $D = {size}$"),
            ):
                logs = np.log(values)
                centre = logs.mean(axis=1)
                half = 2.576 * logs.std(axis=1, ddof=1) / np.sqrt(logs.shape[1])
                low, middle, high = (np.exp(centre + k * half) for k in (-1, 0, 1))
                ends, color = [middle - low, high - middle], f"C{place}"
                axis.errorbar(
                    n, middle, ends, fmt=MARKS[place], color=color, mfc=face, ms=3.5, lw=0.8
                )
                line = np.exp((centre + power * np.log(n)).mean()) * n**-power
                axis.plot(n, line, color=f"C{place}", lw=0.6)
                axis.annotate(word, (n[0], line[0]), (6, 4), **TEXT)
        axis.set(xscale="log", yscale="log", xlabel="neurons $N$", ylabel="distance")
        axis.set_xticks(n, [f"{int(one)}" for one in n])
        axis.minorticks_off()
        axis.margins(y=0.1)  # room for the highest word


@nnflow.hookimpl
def nnflow_register(register):
    register("mean_field", MeanField)
