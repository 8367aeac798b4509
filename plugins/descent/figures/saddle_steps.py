"""Steps away from a saddle, and a function that leads into one."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, beside, lettered

MARKS = ("o", "s", "^")


class SaddleSteps(Figure):
    """(a) Steps from the distance δ of the stable manifold of a quadratic saddle to a distance of
    1: descent (marks) and ⌈ln(1/δ)/ln(1 + α|λ|)⌉ (lines). (b) Descent on a function of one
    variable with a strict saddle at 0: with αM = 1.054 (solid) all starts above 10 are at the
    saddle after one step and stay; with αM = .949 (dashed) they are led to the minima
    beside it, at |y| = .021."""

    needs = ("saddle_steps",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["saddle_steps"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 2.8))
        offset = found["offset"].values
        fine = np.geomspace(offset[0], offset[-1], 4000)
        for place, growth in enumerate(found["growth"].values):
            steps = np.ceil(np.log(1 / fine) / np.log1p(growth))
            left.plot(fine, steps, color=f"C{place}", lw=0.8)
            away = found["away"].sel(growth=growth).values
            left.plot(offset, away, MARKS[place], color=f"C{place}", ms=3)
            beside(left, 2e-12, away[0] * 1.25, rf"$\alpha|\lambda|={growth:g}$")
        left.set(xscale="log", yscale="log", ylim=(1, 5000))
        left.set(xlabel=r"distance $\delta$ from the stable manifold", ylabel="steps to leave")
        self._paths(right, found)
        lettered((left, right), "from a quadratic saddle", "into a saddle of one variable")
        figure.suptitle(
            r"Escapes take $\ln(r/\delta)/\ln(1+\alpha|\lambda|)$ steps; with $\alpha>1/M$ half of"
            " the starts may be caught",
            fontsize=9,
        )
        return figure

    def _paths(self, axis, found) -> None:
        for rate, style in ((1.0, "-"), (0.9, "--")):
            for path in found["path"].sel(rate=rate).values:
                axis.plot(np.abs(path[:12]), style, color="C0" if rate == 1 else "C3", lw=1.1,
                          marker="." if rate == 1 else "x", ms=4)  # fmt: skip
        axis.axhline(0, color="0.6", lw=0.8)
        axis.set_yscale("symlog", linthresh=0.1)
        axis.set(xlabel="step", ylabel=r"$|y|$", ylim=(-0.02, 50))
        beside(
            axis, 11, 0.006, r"$\alpha M=1.054$: at the saddle", ha="right", va="bottom", color="C0"
        )
        beside(axis, 2.2, 0.6, r"$\alpha M=0.949$, dashed: to a minimum", color="C3")


@nnflow.hookimpl
def nnflow_register(register):
    register("saddle_steps", SaddleSteps)
