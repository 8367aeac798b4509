"""Why two ReLU neurons have no spurious minimum."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, flag_mask

from ....general._marks import MARKS
from ....general.figures._page import WIDE, beside, lettered, note, percent

LEVELS = 16
TICKS = ("−π", "−π/2", "0", "π/2", "π")


class TwoReluFigure(Figure):
    """(a) The loss of two students on the unit circle (darker is lower; they have the angles φ₁ and
    φ₂, the teachers lie at 0 and π/2), the flow of steepest descent, and all critical points. Each
    stream ends in one of the two global minima, which differ by a swap of the students. (b) Share
    of runs that end at the minimum that is not swapped, on unit spheres and unconstrained, by input
    dimension d, with exact 99 % intervals. After Safran & Shamir 2018, Theorem 2."""

    needs = ("two_relu_minimum", "circle_landscape")

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 3.5), width_ratios=(1.15, 1))
        summary = results["two_relu_minimum"]
        _landscape(left, results["circle_landscape"])
        _shares(right, results, summary)
        lettered((left, right), "loss on two circles", "where runs end")
        spurious = (summary["spurious_share"] * summary["runs"]).sum()
        runs = int(summary["runs"].sum())
        figure.suptitle(
            f"{round(float(spurious)) or 'None'} of {runs:,} runs of two ReLU neurons"
            f" {'ends' if spurious < 0.5 else 'end'} in a spurious minimum"
        )
        fewest = int(summary["runs"].min())
        note(figure, f"(b): at least {fewest:,} runs a point", "exact 99 % intervals")
        return figure


def _landscape(axis, circles) -> None:
    first, second = (circles[name].values for name in ("first", "second"))
    loss = circles["loss"].values.T  # rows are the second angle
    levels = np.linspace(0, loss.max(), LEVELS + 1)
    axis.contourf(first, second, loss, levels, cmap="Blues_r", alpha=0.75, zorder=0)
    axis.contour(first, second, loss, levels, colors="0.5", linewidths=0.3, zorder=0.5)
    down_second, down_first = (-part for part in np.gradient(loss, second, first))
    axis.streamplot(
        first, second, down_first, down_second, color="0.15", linewidth=0.5, arrowsize=0.6,
        density=0.9, zorder=1,
    )  # fmt: skip
    for kind in circles["kind"].attrs["flag_meanings"].split():
        angles = circles["place"].values[flag_mask(circles["kind"], kind)]
        if len(angles):
            style = {**MARKS[kind], "s": 60, "edgecolors": "white", "linewidths": 0.9, "zorder": 3}
            axis.scatter(*angles.T, label=f"{kind} ({len(angles)})", **style)
    ticks = np.linspace(-np.pi, np.pi, len(TICKS))
    axis.set(
        xlabel="angle φ₁ of the first student", ylabel="angle φ₂ of the second",
        xlim=first[[0, -1]], ylim=second[[0, -1]], aspect="equal",
    )  # fmt: skip
    axis.set_xticks(ticks, TICKS)
    axis.set_yticks(ticks, TICKS)
    axis.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, handletextpad=0, columnspacing=0.8
    )


def _shares(axis, results, summary) -> None:
    rows = np.arange(summary.sizes["configuration"])[::-1]
    share, low, high = (summary[f"straight_share{end}"].values for end in ("", "_low", "_high"))
    axis.plot([0.5, 0.5], [-0.6, len(rows) - 0.4], "--", color="0.6", lw=0.8, zorder=0)
    axis.errorbar(share, rows, xerr=[share - low, high - share], fmt="o", color="C0", capsize=2.5)
    axis.set_yticks(rows, [_named(one) for one in results.configurations], fontsize=7)
    bounds = summary["spurious_bound"].values
    if np.isfinite(bounds).any():
        worst = percent(float(np.nanmax(bounds)))
        text = f"spurious ends: below {worst}\nin every row (99 %)"
        beside(axis, 0.5, len(rows) - 0.05, text, va="bottom", ha="center")
    axis.set(xlim=(0, 1), ylim=(-0.6, len(rows) + 0.9))
    axis.set_xlabel("share of runs that keep the teachers' order")


def _named(configuration) -> str:
    model = configuration.settings.model
    known = {"unit": "unit spheres", "free": "free norms"}
    return f"{known[model.norms]}, $d$ = {model.d}"


@nnflow.hookimpl
def nnflow_register(register):
    register("two_relu_minimum", TwoReluFigure)
