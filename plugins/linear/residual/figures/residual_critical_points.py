"""Critical points of residual linear networks, and how small gradients can be."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._names import proper
from ....general.figures._page import WIDE, beside, lettered, note

MARKS = "ox+^"
NOTHING = 1e-2
"""Below this gap the scale is linear."""


class ResidualCriticalPoints(Figure):
    """(a) Loss above the infimum against max‖V_k‖ of the critical points that runs from random
    weights reached, one mark for each; left of the dashed line at 1 all are global. (b) The squared
    gradient over its lower bound at random weights, as the share of draws below, by depth K; none
    is below 1. After Hardt & Ma 2017, Theorem 2.2."""

    needs = ("residual_critical_points", "residual_gradient_bound")

    depths: tuple[int, ...] = (2, 3, 4, 8)
    """Depths to show at the right, where the study has them."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 3.1), width_ratios=(1.2, 1))
        near, above = _scatter(left, results)
        _ratios(right, results, self.depths)
        lettered((left, right), "critical points", "gradient over its bound")
        figure.suptitle(
            f"{above or 'None'} of {near} critical points with max‖V‖ < 1"
            f" {'is' if above < 2 else 'are'} above the infimum"
        )
        note(figure, f"(a): linear below {NOTHING:g}", "after Hardt & Ma 2017, Theorem 2.2")
        return figure


def _scatter(axis, results) -> tuple[int, int]:
    """How many critical points have a norm below 1, and how many of those lie above the infimum."""
    found = results["residual_critical_points"]
    shown = [
        configuration for configuration in results.configurations if configuration.settings.runs > 1
    ]
    near = above = 0
    top = NOTHING
    # the many at 0 first, so that the few are seen
    for number, configuration in enumerate(shown):
        at = found.sel(configuration=configuration.label)
        critical = at["is_critical"].values == 1
        gap = np.maximum(at["gap"].values[critical], 0)
        norm = at["largest_norm"].values[critical]
        near, above = near + int((norm < 1).sum()), above + int(((norm < 1) & (gap > 1e-6)).sum())
        top = max(top, gap.max(initial=0))
        label = f"K = {configuration.settings.model.depth}, " + proper(
            configuration.settings.optimizer.name
        )
        style = {"ms": 3.5, "color": f"C{number}", "alpha": 0.8, "mew": 0.8}
        mark = MARKS[number % len(MARKS)]
        # those at 0 in a row of their own below the axis, each kind at its height
        height = np.where(gap < 1e-6, -2e-3 * (number + 1), gap)
        axis.plot(norm, height, mark, label=label, **style)
    axis.axvline(1, color="0.3", lw=0.8, ls="--")
    axis.axhline(0, color="0.7", lw=0.6)
    axis.set_yscale("symlog", linthresh=NOTHING)
    axis.set_xscale("log")
    ticks = (0.5, 1, 2, 5, 10)
    axis.set_xticks(ticks, [str(tick) for tick in ticks])
    axis.minorticks_off()
    axis.set(xlabel="max‖V‖", ylabel="loss − infimum", ylim=(-2e-3 * (len(shown) + 2), 3 * top))
    decades = [10.0**n for n in range(-2, 3) if 10.0**n <= 2 * top]
    axis.set_yticks([0, *decades], ["0", *(f"$10^{{{n - 2}}}$" for n in range(len(decades)))])
    key = axis.legend(loc="lower right", fontsize=7, handletextpad=0.1, frameon=True, framealpha=1)
    key.get_frame().set_linewidth(0)
    return near, above


def _ratios(axis, results, depths) -> None:
    bounds = results["residual_gradient_bound"]
    first = {
        configuration.settings.model.depth: configuration.label
        for configuration in reversed(results.configurations)
    }
    for number, depth in enumerate(depth for depth in depths if depth in first):
        logs = np.sort(bounds["log_bound_ratio"].sel(configuration=first[depth]).values)
        below = np.arange(1, len(logs) + 1) / len(logs)
        dashes = ("-", "--", "-.", ":")[number % 4]
        ratio = 10 ** np.minimum(logs, 300)
        axis.plot(ratio, below, dashes, color=f"C{number}")
        seen = np.flatnonzero((ratio < 1e11) & (below < 0.5 + 0.1 * number))
        if seen.size:
            beside(axis, ratio[seen[-1]], below[seen[-1]], f"K = {depth}", ha="center", va="center")
    axis.axvline(1, color="0.3", lw=0.8, ls="--")
    beside(axis, 1, 0.98, " bound", va="top")
    axis.set(xscale="log", xlim=(0.3, 1e12), ylim=(0, 1))
    axis.set(xlabel="‖∇f‖² / bound", ylabel="share of draws below")


@nnflow.hookimpl
def nnflow_register(register):
    register("residual_critical_points", ResidualCriticalPoints)
