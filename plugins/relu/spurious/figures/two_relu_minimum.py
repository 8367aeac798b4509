"""Why two ReLU neurons have no spurious minimum."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, flag_mask

from ....general._marks import MARKS

LEVELS = 16
TICKS = ("−π", "−π/2", "0", "π/2", "π")


class TwoReluFigure(Figure):
    """Left: the loss of two students on the unit circle (darker is lower; w1 and w2 have the angles
    φ1 and φ2, the teachers lie at 0 and π/2), the flow of steepest descent, and all critical
    points. Each stream ends in one of the two global minima, which differ by a swap of the
    students. Right: where runs ended, on unit spheres and unconstrained, by input dimension d,
    with exact 99 % intervals of the share that is not swapped, and the share of spurious ends
    that so many runs without one exclude at 99 %."""

    needs = ("two_relu_minimum", "circle_landscape")

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(
            1, 2, figsize=(8.6, 4.3), gridspec_kw={"width_ratios": [1, 1.05]}
        )
        _landscape(left, results["circle_landscape"])
        _shares(right, results)
        return figure


def _landscape(axis, circles) -> None:
    first, second = (circles[name].values for name in ("first", "second"))
    loss = circles["loss"].values.T  # rows are the second angle
    levels = np.linspace(0, loss.max(), LEVELS + 1)
    axis.contourf(first, second, loss, levels, cmap="Blues_r", alpha=0.75, zorder=0)
    axis.contour(first, second, loss, levels, colors="0.5", linewidths=0.3, zorder=0.5)
    down_second, down_first = (-part for part in np.gradient(loss, second, first))
    axis.streamplot(
        first, second, down_first, down_second, color="0.15", linewidth=0.6, arrowsize=0.7,
        density=1.1, zorder=1,
    )  # fmt: skip
    for kind in circles["kind"].attrs["flag_meanings"].split():
        angles = circles["place"].values[flag_mask(circles["kind"], kind)]
        if len(angles):
            style = {**MARKS[kind], "s": 75, "edgecolors": "white", "linewidths": 0.9, "zorder": 3}
            axis.scatter(*angles.T, label=f"{kind} ({len(angles)})", **style)
    ticks = np.linspace(-np.pi, np.pi, len(TICKS))
    axis.set(
        xlabel="angle φ₁ of the first student", ylabel="angle φ₂ of the second",
        xlim=first[[0, -1]], ylim=second[[0, -1]], aspect="equal", title="Loss on the circles",
    )  # fmt: skip
    axis.set_xticks(ticks, TICKS)
    axis.set_yticks(ticks, TICKS)
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False)


def _shares(axis, results) -> None:
    summary = results["two_relu_minimum"]
    rows = np.arange(summary.sizes["configuration"])[::-1]
    reached, straight = (summary[name].values for name in ("global_share", "straight_share"))
    parts = {
        "W = V": (reached * straight, "C2"),
        "W = V, swapped": (reached * (1 - straight), "C9"),
        "spurious minimum": (summary["spurious_share"].values, "C3"),
    }
    start = np.zeros(len(rows))
    for label, (part, color) in parts.items():
        axis.barh(rows, part, left=start, height=0.62, color=color, alpha=0.8, label=label)
        start += part
    middle = reached * straight
    whiskers = [
        np.abs(reached * summary[f"straight_share_{end}"].values - middle)
        for end in ("low", "high")
    ]
    axis.errorbar(middle, rows, xerr=whiskers, fmt="none", color="0.1", lw=1.2, capsize=2.5)
    for row, bound in zip(rows, summary["spurious_bound"].values, strict=True):
        if np.isfinite(bound):
            text = f"spurious < {100 * bound:.2g} %"
            axis.annotate(text, (0.98, row), va="center", ha="right", fontsize="small", color="0.1")
    names = [
        f"{_named(configuration)}, n = {runs}"
        for configuration, runs in zip(results.configurations, summary["runs"].values, strict=True)
    ]
    axis.set_yticks(rows, names, fontsize="small")
    axis.set(xlim=(0, 1), xlabel="share of runs", title="Where runs end")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3, frameon=False,
                columnspacing=1.0, handlelength=1.2)  # fmt: skip


def _named(configuration) -> str:
    model = configuration.settings.model
    known = {"unit": "spheres", "free": "free"}
    return f"{known[model.norms]}, d = {model.d}"


@nnflow.hookimpl
def nnflow_register(register):
    register("two_relu_minimum", TwoReluFigure)
