"""Descent that converges to points that are no minima."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, beside, lettered


class NoMinimum(Figure):
    """(a) Descent from the right ends at an inflection (diamond), above the minimum (star); dots:
    its points. (b) Steps to leave the saddle of ½x² + cos y from the distance y₀ of its stable
    manifold, with a line of slope 1/ln(1 + α); from y₀ = 0 it is never left."""

    needs = ("no_minimum",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["no_minimum"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 2.7))
        grid, value = found["grid"].values, found["value"].values
        path = found["path"].values
        left.plot(grid, value, color="black", lw=1)
        left.plot(path, np.interp(path, grid, value), "o", color="C0", ms=3)
        left.plot(0, 0, "D", color="C3", ms=6, zorder=4)
        left.plot(-1, value[np.argmin(np.abs(grid + 1))], "*", color="C2", ms=11)
        beside(left, 0.05, -0.05, "inflection", ha="left", va="center")
        beside(left, -1.0, -0.11, "minimum", ha="center", va="center")
        beside(left, 0.9, 0.36, r"descent, $\alpha=1/2$", ha="right")
        left.set(xlabel="$x$", ylabel="$L(x)$", xlim=(-1.8, 1.4), ylim=(-0.14, 0.6))
        offset, steps = found["offset"].values, found["leaving"].values
        right.plot(offset, steps, "o", color="C0", ms=4)
        slope = float(found["escape_expected"][0])
        right.plot(offset, steps[0] + slope * np.log(offset[0] / offset), color="black", lw=0.9)
        beside(right, offset[8], steps[14], r"slope $1/\ln(1+\alpha)$", ha="left")
        right.set(xscale="log", xlabel=r"distance $y_0$ from the stable manifold")
        right.set_xticks([1e-100, 1e-75, 1e-50, 1e-25, 1])
        right.set_ylabel("steps to leave")
        lettered((left, right))
        figure.suptitle("Descent may converge to an inflection, and stay long at a saddle",
                        fontsize=9)  # fmt: skip
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("no_minimum", NoMinimum)
