"""What the ends of descent on single formulas are."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import note, percent

PARTS = (
    ("solution", "solved_share", "C0", ""),
    ("minimum above 0", "rest", "C1", "////"),
    ("saddle", "saddle_share", "0.8", "...."),
    ("undecided", "degenerate_share", "white", ""),
)


NAMES = {
    "frank_wolfe": "successive linearization",
    "projected_gradient_descent": "projected gradient",
}


class SatEnds(Figure):
    """Where runs of each method end on single random formulas, by clauses for each variable: at
    solutions (loss 0), at minima above 0, which are vertices with fractions, and at critical points
    from which the loss falls to second order; with the 99 % interval of the first. Below: can the
    formula be satisfied?"""

    needs = ("sat_ends",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        methods = self._by_method(results)
        figure, axes = plt.subplots(
            1, len(methods), figsize=(6.75 if len(methods) > 1 else 3.3, 3.1), sharey=True,
            squeeze=False, layout="constrained",
        )  # fmt: skip
        for axis, (letter, (name, places)) in zip(
            axes[0], zip("abcdef", methods.items(), strict=False), strict=True
        ):
            ratios = [
                len(model.formula) / model.count
                for model in (results.configurations[place].settings.model for place in places)
            ]
            _bars(axis, results["sat_ends"].isel(configuration=places), ratios)
            axis.set_title(f"({letter}) {NAMES.get(name, name)}", loc="left", fontsize=7)
        axes[0, 0].set_ylabel("share of runs")
        shown = [place for places in methods.values() for place in places]
        figure.suptitle(_told(results["sat_ends"].isel(configuration=shown)), fontsize="medium")
        names = dict(
            pair
            for axis in axes[0]
            for pair in zip(*reversed(axis.get_legend_handles_labels()), strict=True)
        )
        figure.legend(
            names.values(), names, fontsize=7, loc="outside lower center", ncols=len(PARTS),
            handlelength=1.2, columnspacing=0.8,
        )  # fmt: skip
        runs = {results.configurations[n].settings.runs for some in methods.values() for n in some}
        each = " to ".join(f"{number}" for number in sorted({min(runs), max(runs)}))
        note(figure, f"{each} runs a bar", "99 % intervals of the share of solutions")
        return figure

    @staticmethod
    def _by_method(results) -> dict[str, list[int]]:
        """{optimizer: places of the configurations whose formulas have the first one's size}."""
        first, methods = results.configurations[0].settings.model.count, {}
        for place, one in enumerate(results.configurations):
            if one.settings.model.count == first:
                methods.setdefault(one.settings.optimizer.name, []).append(place)
        return methods


def _told(found) -> str:
    """The shares of runs that end at solutions, of the formulas that have one."""
    shares = found["solved_share"].values[found["satisfiable"].values.astype(bool)]
    if not len(shares):
        return "No formula can be satisfied"
    ends = " to ".join(dict.fromkeys(percent(share) for share in (shares.min(), shares.max())))
    return f"Where there are solutions, {ends} of the runs end at one, the others above"


def _bars(axis, found, ratios: list[float]) -> None:
    places, bottom = np.arange(len(ratios)), np.zeros(len(ratios))
    for name, column, color, hatch in PARTS:
        height = (
            found["minimum_share"].values - found["solved_share"].values
            if column == "rest"
            else found[column].values
        )
        if height.any():
            axis.bar(
                places, height, bottom=bottom, color=color, hatch=hatch, width=0.75,
                edgecolor="black", lw=0.6, label=name,
            )  # fmt: skip
        bottom += height
    solved = found["solved_share"].values
    spans = solved - found["solved_share_low"].values, found["solved_share_high"] - solved
    axis.errorbar(places - 0.46, solved, spans, fmt="none", color="C0", lw=1.2, capsize=2)
    words = ["yes" if one else "no" for one in found["satisfiable"].values]
    axis.set_xticks(places, [f"{r:g}\n{w}" for r, w in zip(ratios, words, strict=True)])
    axis.set_xlabel("clauses for each variable $m/n$;\ncan the formula be satisfied?")


@nnflow.hookimpl
def nnflow_register(register):
    register("sat_ends", SatEnds)
