"""One ReLU: its flow in the plane, and how likely starts converge."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

SPREAD = 0.015
"""Distance in ε at which the dimensions are drawn next to one another."""


class SingleRelu(Figure):
    """Left: gradient flow of one ReLU in the plane (grey), with the region Ω of Theorem 5 shaded
    and some trajectories (dots: starts); the dashed ray leads into 0. Right: shares of starts that
    lie in Ω (open) and that reach w* (filled), by dimension d, with 99 % intervals, against
    ε and the bound (1 − ε)/2 of Theorem 6 (dotted); lines are the exact probabilities of Ω."""

    needs = ("single_relu_region",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["single_relu_region"]
        figure, (plane, chance) = plt.subplots(
            1, 2, figsize=(7.6, 3.3), width_ratios=(1.15, 1), layout="constrained"
        )
        _plane(plane, analysis)
        _chances(chance, analysis)
        runs = {configuration.settings.runs for configuration in results.configurations}
        chance.set_title(f"{' or '.join(map(str, sorted(runs)))} starts each", fontsize="medium")
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
    axis.text(1.06, 0.1, "w*", fontsize="medium")
    axis.text(1.55, -0.68, "Ω", fontsize="large", color="C0")
    axis.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]), aspect="equal")
    axis.set(xlabel="along the teacher", ylabel="across")


def _chances(axis, analysis) -> None:
    dimensions = np.unique(analysis["inputs"].values)
    for number, inputs in enumerate(dimensions):
        same = np.flatnonzero(analysis["inputs"].values == inputs)
        part = analysis.isel(configuration=same).sortby("epsilon")
        epsilon, color = part["epsilon"].values, f"C{number}"
        axis.plot(epsilon, part["region_exact"], color=color, lw=0.8)
        moved = epsilon + SPREAD * (number - (len(dimensions) - 1) / 2)
        for name, fill in (("converged_share", color), ("region_share", "white")):
            middle = part[name].values
            spans = middle - part[f"{name}_low"].values, part[f"{name}_high"].values - middle
            label = f"{inputs:.0f}" if name == "converged_share" else None
            axis.errorbar(
                moved, middle, spans, fmt="o^sDv"[number % 5], ms=4,
                color=color, mfc=fill, lw=0.8, label=label,
            )  # fmt: skip
    every = np.array([0, 1])
    axis.plot(every, (1 - every) / 2, color="black", lw=1, ls=":")
    axis.text(0.02, 0.3, r"bound $(1-\varepsilon)/2$", fontsize="small")
    axis.set(xlim=(0, 1), ylim=(0, 1.04), xlabel=r"$\varepsilon$", ylabel="share of starts")
    axis.text(0.02, 0.92, "reach w*", fontsize="small", color="0.3")
    axis.text(0.02, 0.58, "in Ω; for d = 1 these reach w*", fontsize="small", color="0.3")
    axis.legend(
        title="d", ncols=len(dimensions), loc="center", bbox_to_anchor=(0.5, 0.74),
        fontsize="small", handletextpad=0.1, columnspacing=0.8,
    )  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("single_relu", SingleRelu)
