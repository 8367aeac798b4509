"""Exponential and linear times past a row of saddles."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import HALF
from .._panels import at_ends

STYLES, MARKS = ("-", "--", "-.", ":"), ("o", "s", "^", "D")


class OctopusTimes(Figure):
    """Steps until the k-th saddle of Du et al.'s function is passed, by gradient descent for
    several L/γ (geometric means over starts, and the measured factor from each to the next) and by
    perturbed descent (means, and the difference). Intervals are smaller than the marks. After Du
    et al. 2017, Fig. 3."""

    needs = ("octopus_times",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["octopus_times"]
        figure, axis = plt.subplots(figsize=(HALF, 3.2))
        saddle, ends = found["saddle"].values, []
        for place, steep in enumerate(found["steep"].values):
            times = np.exp(np.log(found["times"].sel(steep=steep).values).mean(axis=0))
            axis.plot(saddle, times, STYLES[place], marker=MARKS[place], color=f"C{place}", ms=3.5)
            factor = float(found[f"slope_{steep:g}".replace(".", "_")].values[0])
            ratio = "" if steep == 1 else f"{steep:g}"
            ends.append((times[-1], rf"descent, $L={ratio}\gamma$: ×{factor:.2f}"))
        noisy = found["perturbed_times"].values.mean(axis=0)
        axis.plot(saddle, noisy, color="black", marker="v", ms=4, lw=1.6)
        each = (noisy[-1] - noisy[1]) / (len(noisy) - 2)
        ends.append((noisy[-1], rf"perturbed, $L=\gamma$: +{each:.0f}"))
        axis.set(yscale="log", xlim=(0.7, saddle[-1] + 6), xticks=saddle[1::2])
        axis.set(xlabel="saddles passed", ylabel="steps")
        at_ends(axis, saddle[-1], ends)
        axis.set_title(
            "Descent is exponentially slow in the dimension, with noise it is not", fontsize=9
        )
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("octopus_times", OctopusTimes)
