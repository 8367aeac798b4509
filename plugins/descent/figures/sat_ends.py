"""What the ends of descent on single formulas are."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from .._panels import stacked

PARTS = (
    ("solution", "solved_share", "C0", ""),
    ("minimum above 0", "rest", "C1", "////"),
    ("saddle", "saddle_share", "0.8", "...."),
    ("undecided", "degenerate_share", "white", ""),
)


class SatEnds(Figure):
    """Where runs end on single random formulas, by clauses for each variable: at solutions (loss
    0), at minima above 0, which are vertices with fractions, and at critical points from which the
    loss falls to second order; with the 99 % interval of the first. Ticks: can the formula be
    satisfied?"""

    needs = ("sat_ends",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["sat_ends"].isel(configuration=self._random(results))
        ratio = [
            float(found["clauses"].values[place]) / one.settings.model.count
            for place, one in enumerate(
                results.configurations[index] for index in self._random(results)
            )
        ]
        figure, axis = plt.subplots(figsize=(3.3, 2.9), layout="constrained")
        places = np.arange(len(ratio))
        found = found.assign(rest=found["minimum_share"] - found["solved_share"])
        parts = [(name, found[column].values, *look) for name, column, *look in PARTS]
        stacked(axis, places, parts, 0.75)
        solved = found["solved_share"].values
        spans = solved - found["solved_share_low"].values, found["solved_share_high"] - solved
        axis.errorbar(places, solved, spans, fmt="none", color="black", lw=1, capsize=2)
        words = ["can be" if one else "can't" for one in found["satisfiable"].values]
        axis.set_xticks(places, [f"{r:g}\n{w}" for r, w in zip(ratio, words, strict=True)])
        axis.set_xlabel("clauses for each variable;\ncan the formula be satisfied?")
        axis.set_ylabel("share of runs")
        figure.suptitle("More clauses, fewer solutions among the ends", fontsize="medium")
        axis.legend(
            fontsize="x-small", loc="lower center", bbox_to_anchor=(0.5, 1), ncols=3,
            handlelength=1.2, columnspacing=0.8,
        )  # fmt: skip
        return figure

    @staticmethod
    def _random(results) -> list[int]:
        """Places of the configurations whose clauses all have the size of the first one's model."""
        models = [one.settings.model for one in results.configurations]
        return [place for place, one in enumerate(models) if one.count == models[0].count]


@nnflow.hookimpl
def nnflow_register(register):
    register("sat_ends", SatEnds)
