"""The least gradient of a run beside its bound, and functions that come near to it."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, beside, lettered
from .._panels import at_ends

NAMES = {
    "function=square": "quadratic",
    "function=log_cosh": "ln cosh",
    "function=dips": "dips",
    "model=fixed_readout": "network",
}
STYLES = ("-", "--", "-.", ":")


class DescentBound(Figure):
    """(a) The least squared gradient of the first N points of a run, over 2MΔ, medians over runs
    with αM nearest to 1, below the lecture's bound (grey: what it excludes). (b) The same on the
    fixed functions x⁻ᵖ, over its first value, with slopes −(p + 1)/(p + 2), and the envelope of
    worst functions, one for each N, with slope −1/2."""

    needs = ("descent_inequality", "worst_cases")

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 3.0))
        figure.suptitle(
            "The bound holds in every run, but no fixed function falls as slowly as its slope says",
            fontsize=9,
        )
        _runs(left, results["descent_inequality"])
        _slopes(right, results["worst_cases"])
        lettered((left, right), "descents", "functions $x^{-p}$")
        return figure


def _runs(axis, found) -> None:
    point, ends = found["point"].values, []
    wide = np.geomspace(1, point[-1] * 5)
    axis.fill_between(wide, 1 / wide, 3, color="0.88", lw=0)
    beside(axis, 3, 0.9, "excluded by the bound $1/N$", va="center")
    for place, (label, curve) in enumerate(
        zip(found["configuration"].values, found["least_gradient"].values, strict=True)
    ):
        axis.plot(point, curve, STYLES[place % 4], color=f"C{place}", lw=1.2)
        ends.append((curve[-1], NAMES.get(str(label), str(label))))
    axis.set(xscale="log", yscale="log", xlim=(1, wide[-1]))
    axis.set_ylim(min(end for end, _ in ends) / 3, 3)
    at_ends(axis, point[-1], ends)
    axis.set(xlabel="points $N$", ylabel=r"$\min_{n\leq N}\,|\nabla L|^2/(2M\Delta)$")


def _slopes(axis, found) -> None:
    count, ends = found["count"].values, []
    for place, power in enumerate(found["power"].values):
        curve = found["power_gradient"].sel(power=power).values
        axis.plot(count, curve, STYLES[place % 4], color=f"C{place}", lw=1.2)
        ends.append((curve[-1], f"$p={power:g}$: −{(power + 1) / (power + 2):.3f}"))
    worst = found["worst_count"].values
    axis.plot(worst, found["envelope"].values, color="black", lw=1.8)
    beside(axis, worst[7], 0.34, "worst function for each $N$: −0.5")
    axis.set(xscale="log", yscale="log", xlim=(1, count[-1] * 100))
    axis.set_ylim(min(end for end, _ in ends) / 2, 1.5)
    at_ends(axis, count[-1], ends)
    axis.set(xlabel="points $N$", ylabel=r"least $|\nabla L|$, over the first")


@nnflow.hookimpl
def nnflow_register(register):
    register("descent_bound", DescentBound)
