"""Critical points of residual linear networks, and how small gradients can be."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class ResidualCriticalPoints(Figure):
    """Left: loss above the infimum against max‖V_k‖ of the critical points that runs from random
    weights reached, one mark for each; left of the dashed line at 1 all are global. Right: the
    squared gradient over its lower bound at random weights, as the share of draws below, by
    depth; none is below 1."""

    needs = ("residual_critical_points", "residual_gradient_bound")

    depths: tuple[int, ...] = (2, 3, 4, 8)
    """Depths to show at the right, where the study has them."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.3))
        _scatter(left, results)
        _ratios(right, results, self.depths)
        return figure


def _scatter(axis, results) -> None:
    found = results["residual_critical_points"]
    shown = [
        configuration for configuration in results.configurations if configuration.settings.runs > 1
    ]
    marks = "ox+^"
    for number, configuration in enumerate(shown):
        at = found.sel(configuration=configuration.label)
        critical = at["is_critical"].values == 1
        gap = np.maximum(at["gap"].values[critical], 0)
        name = configuration.settings.optimizer.name.replace("_", " ")
        label = f"K = {configuration.settings.model.depth}, {name}"
        style = {"ms": 3.5, "color": f"C{number}", "alpha": 0.7, "mew": 0.8}
        mark = marks[number % len(marks)]
        axis.plot(at["largest_norm"].values[critical], gap, mark, label=label, **style)
    axis.axvline(1, color="0.3", lw=0.8, ls="--")
    axis.set_yscale("symlog", linthresh=1e-2)
    axis.set_xscale("log")
    ticks = (0.5, 1, 2, 5, 10)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set(xlabel="max‖V‖", ylabel="loss − infimum")
    top = (
        float(
            found["gap"].sel(configuration=[configuration.label for configuration in shown]).max()
        )
        if shown
        else 1
    )
    axis.set_ylim(-2e-3, 2 * max(top, 1e-2))
    axis.legend(fontsize="x-small")


def _ratios(axis, results, depths) -> None:
    bounds = results["residual_gradient_bound"]
    first = {
        configuration.settings.model.depth: configuration.label
        for configuration in reversed(results.configurations)
    }
    for number, depth in enumerate(depth for depth in depths if depth in first):
        logs = np.sort(bounds["log_bound_ratio"].sel(configuration=first[depth]).values)
        below = np.arange(1, len(logs) + 1) / len(logs)
        axis.plot(10 ** np.minimum(logs, 300), below, color=f"C{number}", lw=1.2, label=f"{depth}")
    axis.axvline(1, color="0.3", lw=0.8, ls="--")
    axis.set(xscale="log", xlim=(0.3, 1e12), ylim=(0, 1))
    axis.set(xlabel="‖∇f‖² / bound", ylabel="share of draws below")
    axis.legend(title="layers K", fontsize="x-small")


@nnflow.hookimpl
def nnflow_register(register):
    register("residual_critical_points", ResidualCriticalPoints)
