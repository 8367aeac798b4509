"""Random networks of finite width against the limit."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import note
from .._panels import titled

MARKS = "os^"
TEXT = {"textcoords": "offset points", "fontsize": 7}


class RandomNetworks(Figure):
    """(a) Correlation of two inputs by layer, networks of the largest width: median and the middle
    90 %; dashed, the limit. (b) Standard deviation (filled) and bias (open) of K by width with
    99 % intervals, colours as in (a); lines are √(V/n) and |B|/n, without a fit. (c) K/K₀ of the
    critical ReLU at the least width: the mean stays (99 % interval), the median falls."""

    needs = ("random_networks",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["random_networks"]
        figure, (pairs, widths, relu) = plt.subplots(1, 3, figsize=(6.75, 2.9))
        self._pairs(pairs, found)
        self._widths(widths, found)
        self._relu(relu, found)
        titles = (
            "Inputs follow the limit's map",
            "Spread $n^{-1/2}$, bias $n^{-1}$",
            f"Width {int(found['relu_width'][0])}: the median\nleaves the mean",
        )
        titled((pairs, widths, relu), titles)
        note(
            figure, "bands: the middle 90 % of networks", "bars: 99 % intervals",
            "(a) dashed: limit", "(b) colours of (a)",
        )  # fmt: skip
        return figure

    def _pairs(self, axis, found):
        layer = np.arange(found.sizes["layer"])
        for place, name in enumerate(found["network"].values):
            one = found.sel(network=name)
            low, middle, high = one["correlation"].values.T
            axis.fill_between(layer, low, high, color=f"C{place}", alpha=0.25, lw=0)
            axis.plot(layer, middle, MARKS[place], color=f"C{place}", ms=3)
            axis.plot(layer, one["correlation_limit"], "--", color="black", lw=0.8)
            word, weight, _ = name.split()
            label = rf"{word} $\alpha_w^2 = {weight}$"
            if middle[-1] < 0.25:
                axis.annotate(label, (0.03, 0.05), xycoords="axes fraction", fontsize=7)
            else:
                axis.annotate(label, (layer[-1], high[-1]), (0, 3), ha="right", **TEXT)
        axis.set(xlabel="layer", ylabel="correlation $c$", ylim=(0, 1))

    def _widths(self, axis, found):
        n = found["width"].values.astype(float)
        for place, name in enumerate(found["network"].values[:2]):
            one = found.sel(network=name)
            color, mark = f"C{place}", MARKS[place]
            for key, power, limit in (("variance", 0.5, "V"), ("bias", 1.0, "B")):
                root = 0.5 if key == "variance" else 1.0
                ends = [np.abs(one[f"{key}{end}"].values) ** root for end in ("", "_low", "_high")]
                value, spread = ends[0], np.abs(np.array(ends[1:]) - ends[0])
                face = color if key == "variance" else "white"
                axis.errorbar(n, value, spread, fmt=mark, color=color, mfc=face, ms=3.5, lw=0.8)
                axis.plot(n, abs(float(one[limit])) ** root / n**power, color=color, lw=0.8)
        for key, word in (("variance", "standard deviation"), ("bias", "|bias|")):
            height = np.abs(found[key].values[1, 1]) ** (0.5 if key == "variance" else 1)
            axis.annotate(word, (n[1], height), (4, 5), **TEXT)
        axis.set(xscale="log", yscale="log", xlabel="width $n$", ylabel="deviation of $K$")

    def _relu(self, axis, found):
        one = found.isel(relu_width=0)
        layer = np.arange(found.sizes["relu_layer"])
        low, middle, high = one["relu_quantile"].values.T
        axis.fill_between(layer, low, high, color="C0", alpha=0.25, lw=0)
        axis.plot(layer, middle, color="C0")
        axis.annotate("median", (layer[-1], middle[-1]), (0, -12), ha="right", **TEXT)
        value = one["relu_mean"].values
        spread = np.abs([one[f"relu_mean_{end}"].values - value for end in ("low", "high")])
        axis.errorbar(
            layer[::5], value[::5], spread[:, ::5], fmt="o", color="black", ms=2.5, lw=0.8
        )
        axis.annotate("mean", (layer[-6], value[-6]), (-6, 12), ha="right", **TEXT)
        axis.set(yscale="log", xlabel="layer", ylabel="$K/K_0$")


@nnflow.hookimpl
def nnflow_register(register):
    register("random_networks", RandomNetworks)
