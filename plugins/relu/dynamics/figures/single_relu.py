"""One ReLU: its flow in the plane, and how likely starts converge."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, beside, lettered, note, percent
from ..analyses.single_relu_region import region_probability

SPREAD = 0.015
"""Distance in ε at which the dimensions are drawn next to one another."""


class SingleRelu(Figure):
    """(a) Gradient flow of one ReLU in the plane, with the region Ω of Theorem 5 shaded and some
    trajectories (dots: starts); the dashed ray leads into 0. (b) Shares of starts that reach w*
    (filled) and that lie in Ω (open), by dimension d, with 99 % intervals, against the radius of
    the ball, which in units of √(2π/(d + 1))‖w*‖ is ε; lines are the exact probabilities of Ω, and
    the thick one is the bound (1 − ε)/2 of Theorem 6. After Tian 2017, Fig. 5."""

    needs = ("single_relu_region",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["single_relu_region"]
        figure, (plane, chance) = plt.subplots(1, 2, figsize=(WIDE, 3.1), width_ratios=(1.1, 1))
        _plane(plane, analysis)
        _chances(chance, analysis, results.configurations)
        lettered((plane, chance), "gradient flow", "starts")
        runs = sorted({configuration.settings.runs for configuration in results.configurations})
        inside = analysis["region_exact"].values - analysis["bound"].values
        several = analysis["inputs"].values > 1
        lowest = float(analysis["converged_share"].values[several].min(initial=1))
        most = "all" if lowest == 1 else f"at least {percent(lowest)} of the"
        figure.suptitle(
            f"For d > 1 {most} starts reach w*; Ω holds at least"
            f" (1 − ε)/2 in {int((inside >= -1e-12).sum())} of {len(inside)} cases"
        )
        note(
            figure, f"{' or '.join(f'{n:,}' for n in runs)} starts a point", "bars: 99 % intervals",
            "after Tian 2017, Fig. 5",
        )  # fmt: skip
        return figure


def _plane(axis, analysis) -> None:
    import matplotlib.pyplot as plt

    field = analysis["field"]
    across, up = field["column"].values, field["row"].values
    axis.add_patch(plt.Circle((1, 0), 1, facecolor="C0", alpha=0.15, lw=0))
    axis.streamplot(
        across, up, *field.values, color="0.72", density=0.9, linewidth=0.5, arrowsize=0.6
    )
    for path in analysis["path"].values:
        axis.plot(*path.T, color="C3", lw=1.1)
        axis.plot(*path[0], "o", color="C3", ms=3)
    axis.plot([across[0], 0], [0, 0], color="black", lw=0.9, ls="--")
    axis.plot(1, 0, "*", color="black", ms=9)
    axis.text(1.06, 0.1, "w*", fontsize=8)
    axis.text(1.55, -0.68, "Ω", fontsize=10, color="C0")
    axis.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]), aspect="equal")
    axis.set(xlabel="along the teacher", ylabel="across")


def _chances(axis, analysis, configurations) -> None:
    dimensions = np.unique(analysis["inputs"].values)
    initializer = configurations[0].settings.initializer
    grid = np.linspace(0.01, 0.99, 50)
    for number, inputs in enumerate(dimensions):
        same = np.flatnonzero(analysis["inputs"].values == inputs)
        part = analysis.isel(configuration=same).sortby("epsilon")
        color, size = f"C{number}", int(inputs)
        radii = [initializer.model_copy(update={"epsilon": e}).radius(size) for e in grid]
        axis.plot(grid, [region_probability(size, r) for r in radii], color=color, lw=0.8)
        moved = part["epsilon"].values + SPREAD * (number - (len(dimensions) - 1) / 2)
        for name, fill in (("converged_share", color), ("region_share", "white")):
            middle = part[name].values
            spans = middle - part[f"{name}_low"].values, part[f"{name}_high"].values - middle
            axis.errorbar(
                moved, middle, np.maximum(spans, 0), fmt="o^sDv"[number % 5], ms=4, color=color,
                mfc=fill, lw=0.8, label=size if name == "converged_share" else None,
            )  # fmt: skip
    every = np.array([0, 1])
    axis.plot(every, (1 - every) / 2, color="black", lw=1.6)
    beside(axis, 0.05, 0.2, "bound (1 − ε)/2")
    beside(axis, 0.02, 0.93, "reach w*, d > 1")
    beside(axis, 0.02, 0.62, "in Ω (lines: exact); reach w*, d = 1")
    axis.set(xlim=(0, 1), ylim=(0, 1.06), ylabel="share of starts")
    axis.set_xlabel("ε = radius of the ball / (√(2π/(d + 1))‖w*‖)")
    axis.legend(
        title="d", ncols=len(dimensions), loc="center", bbox_to_anchor=(0.5, 0.77),
        handletextpad=0, columnspacing=0.6,
    )  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("single_relu", SingleRelu)
