"""What the ends of runs under the hinge loss are."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import counted

PARTS = (
    ("flat", "flat_share", "C0", ""),
    ("minimum at a kink", "kink_share", "C1", "////"),
    ("stationary at a kink, no minimum", "clarke_share", "0.35", ""),
    ("not at rest, or not known", "open_share", "0.9", "...."),
)


class MultilinearEnds(Figure):
    """Where runs of subgradient descent end: where the loss is flat, at minima at kinks, or at
    kinks that are stationary in Clarke's sense and no minima; open are runs that are not at rest,
    or whose kinks are not known. No run ends at a differentiable minimum that is not flat, the
    number written above. Bars have 99 % intervals."""

    needs = ("multilinear_ends",)

    labels: dict[str, str] = {}
    """What configurations are called, by their label; those that are not named are left out, if
    any is."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["multilinear_ends"]
        every = [str(label) for label in found["configuration"].values]
        shown = [label for label in every if label in self.labels] or every
        found = found.sel(configuration=shown)
        figure, axis = plt.subplots(figsize=(5.0, 3.0), layout="constrained")
        places = np.arange(len(shown))
        parts = [part for part in PARTS if found[part[1]].values.any()]
        width = 0.8 / len(parts)
        for number, (name, column, color, hatch) in enumerate(parts):
            at = places + (number - (len(parts) - 1) / 2) * width
            height = found[column].values
            axis.bar(
                at, height, color=color, hatch=hatch, width=width, edgecolor="black", lw=0.6,
                label=name,
            )  # fmt: skip
            spans = height - found[f"{column}_low"], found[f"{column}_high"] - height
            axis.errorbar(at, height, spans, fmt="none", color="black", lw=0.8, capsize=1.5)
        for place in places:
            axis.text(place, 1.06, f"{found['strict'].values[place]:.0f}", ha="center", fontsize=7)
        axis.text(-0.42, 1.15, "differentiable minima that are not flat:", fontsize=7, ha="left")
        axis.set_xticks(places, [self.labels.get(label, label) for label in shown])
        axis.set(
            ylabel="share of runs (99 % intervals)", ylim=(0, 1.23), xlim=(-0.5, len(shown) - 0.5)
        )
        axis.set_yticks(np.linspace(0, 1, 6))
        figure.suptitle(_told(found), fontsize="medium")
        figure.legend(
            loc="outside lower center", ncols=len(PARTS), fontsize=7, handlelength=1.4,
            columnspacing=1,
        )  # fmt: skip
        return figure


def _told(found) -> str:
    strict = int(np.round(found["strict"].values.sum()))
    if strict:
        found = counted(strict, "minimum that is", "minima that are")
        return f"{found} neither flat nor at a kink"
    return "Every minimum that was found is flat or lies at a kink"


@nnflow.hookimpl
def nnflow_register(register):
    register("multilinear_ends", MultilinearEnds)
