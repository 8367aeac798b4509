"""Loss and lowest eigenvalue of the symmetric families against the width."""

from __future__ import annotations

import math

import nnflow
from nnflow import Figure

from ....general.figures._legend import legend_below
from ....general.figures._page import WIDE, beside, lettered
from ._symmetric import draw, families

LEVELS = (0.5 - 1 / math.pi, 0.5 - 2 / math.pi**2, 0.25 - 0.5 / math.pi)
"""Limits of F for types A and I, of k·F/t for fixed t, and of the lowest eigenvalue, which is
that of the global minimum."""


class FamilyLosses(Figure):
    """The symmetric families S_(k−t) × S_t of critical points against the number k of neurons:
    (a) loss F, (b) k·F for each of the t turned neurons, (c) the lowest eigenvalue of the whole
    Hessian. Filled: spurious minima; hollow: saddles. Dotted: the limits. After Arjevani & Field
    2021."""

    needs = ("symmetric_families",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        table = results["symmetric_families"]
        minimum = table["whole_kind"].values == "minimum"
        turned = [configuration.settings.model.turned for configuration in results.configurations]
        figure, axes = plt.subplots(1, 3, figsize=(WIDE, 3.1))
        loss, scaled, lowest = axes
        for series in families(results, table):
            few = series.k[-1] > 2 * turned[series.rows[-1]]
            draw(loss, series, table["loss"].values, minimum)
            draw(lowest, series, table["lowest_eigenvalue"].values, minimum)
            if few:
                draw(scaled, series, table["scaled_loss"].values / turned, minimum)
        for axis, level, text in zip(
            axes, LEVELS, ("½ − 1/π", "½ − 2/π²", "¼ − 1/2π"), strict=True
        ):
            axis.axhline(level, color="0.4", ls=":", lw=1)
            axis.set(xscale="log", xlabel="neurons k")
            to_axis = axis.get_yaxis_transform()
            beside(axis, 0.02, level, text, va="bottom", transform=to_axis)
        lowest.axhline(0, color="0.8", lw=0.8, zorder=0)
        loss.set_yscale("log")
        lowest.set_ylim(top=0.105)
        scaled.set_ylim(top=0.325)
        loss.set_ylim(top=0.5)
        lettered(axes, "loss $F$", "$kF/t$", "lowest Hessian eigenvalue")
        for face, text in (("0.3", "spurious minimum"), ("white", "saddle")):
            lowest.plot([], [], "o", ms=4, color="0.3", mfc=face, label=text)
        legend_below(figure, axes, columns=4)
        largest = int(max(series.k[-1] for series in families(results, table)))
        spurious = len({s.name for s in families(results, table) if minimum[s.rows[-1]]})
        every = len(families(results, table))
        figure.suptitle(
            f"{spurious} of {every} symmetric families are spurious minima at their largest width"
            f" (k up to {largest:,})"
        )
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("family_losses", FamilyLosses)
