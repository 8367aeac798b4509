"""Loss and lowest eigenvalue of the symmetric families against the width."""

from __future__ import annotations

import math

import nnflow
from nnflow import Figure

from ._symmetric import draw, families


class FamilyLosses(Figure):
    """The symmetric families S_(k−t) × S_t of critical points against the number k of neurons:
    loss F, k·F per turned neuron, and the lowest eigenvalue of the whole Hessian. Filled: spurious
    minima; hollow: saddles. Dotted: the limits ½ − 1/π of F for types A and I, ½ − 2/π² of k·F/t
    for fixed t, and ¼ − 1/2π of the lowest eigenvalue, which is that of the global minimum."""

    needs = ("symmetric_families",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        table = results["symmetric_families"]
        minimum = table["whole_kind"].values == "minimum"
        turned = [configuration.settings.model.turned for configuration in results.configurations]
        figure, axes = plt.subplots(1, 3, figsize=(10.5, 3.4))
        loss, scaled, lowest = axes
        for series in families(results, table):
            few = series.k[-1] > 2 * turned[series.rows[-1]]
            draw(loss, series, table["loss"].values, minimum)
            draw(lowest, series, table["lowest_eigenvalue"].values, minimum)
            if few:
                draw(scaled, series, table["scaled_loss"].values / turned, minimum)
        for axis, level, text in (
            (loss, 0.5 - 1 / math.pi, "½ − 1/π"),
            (scaled, 0.5 - 2 / math.pi**2, "½ − 2/π²"),
            (lowest, 0.25 - 0.5 / math.pi, "¼ − 1/2π"),
        ):
            axis.axhline(level, color="0.4", linestyle=":", linewidth=1)
            axis.annotate(
                text, (0.03, level), xycoords=("axes fraction", "data"),
                xytext=(0, 4), textcoords="offset points", fontsize=9,
            )  # fmt: skip
            axis.set_xscale("log")
            axis.set_xlabel("neurons k")
        lowest.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        loss.set_yscale("log")
        loss.set_ylabel("loss F")
        scaled.set_ylabel("k·F/t")
        lowest.set_ylabel("lowest Hessian eigenvalue")
        lowest.set_ylim(top=0.105)
        scaled.set_ylim(top=0.325)
        loss.set_ylim(top=0.5)
        handles, labels = loss.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("family_losses", FamilyLosses)
