"""What the runs of each configuration ended at."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

PARTS = {
    "at_infimum": ("global minimum", "C2"),
    "saddles": ("saddle above it", "C1"),
    "suspects": ("perhaps a spurious minimum", "C3"),
    "nonsmooth": ("kink above it", "C5"),
    "unfinished": ("no critical point", "0.8"),
}
"""Columns of local_minima_search, with their names and colours."""


class EndsOfRuns(Figure):
    """Shares of the runs of each configuration that ended at the infimum, at saddles (by a negative
    Hessian eigenvalue), at what second order can't tell from spurious minima, at a point with a
    kink, or at no critical point. The number at the right is the share of spurious minima that
    the runs exclude at 95 %, where there are several."""

    needs = ("local_minima_search",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import PercentFormatter

        found = results["local_minima_search"]
        places = np.arange(found.sizes["configuration"])
        figure, axis = plt.subplots(figsize=(7.2, 0.9 + 0.24 * len(places)))
        left = np.zeros(len(places))
        for name, (text, color) in PARTS.items():
            part = found[name].values / found["runs"].values
            axis.barh(places, part, left=left, color=color, label=text, height=0.75)
            left = left + part
        for place, bound in zip(places, found["share_bound"].values, strict=True):
            if np.isfinite(bound) and found["runs"].values[place] > 1:
                axis.text(1.01, place, f"< {bound:.1%}", va="center", fontsize="x-small")
        axis.set_yticks(
            places,
            [_text(configuration) for configuration in results.configurations],
            fontsize="x-small",
        )
        axis.invert_yaxis()
        axis.set(xlim=(0, 1), xlabel="share of runs")
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(loc="outside lower center", ncols=3, fontsize="x-small")
        return figure


def _text(configuration) -> str:
    """Loss, widths and optimizer of a configuration."""
    model, optimizer = configuration.settings.model, configuration.settings.optimizer
    loss = (
        f"{model.loss_function.name.replace('_', ' ')}, " if hasattr(model, "loss_function") else ""
    )
    widths = "–".join(map(str, model.chain())) if hasattr(model, "chain") else model.name
    given = ", given point" if configuration.settings.initializer.name == "given" else ""
    return f"{loss}{widths}{given or ', ' + optimizer.name.replace('_', ' ')}"


@nnflow.hookimpl
def nnflow_register(register):
    register("ends_of_runs", EndsOfRuns)
