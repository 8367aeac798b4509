"""Which formulas can be satisfied, and which of these descent solves."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, share

from ...general.figures._page import beside, ink, percent

LINES = ("-", "--", ":")
NAMES = {
    "frank_wolfe": "successive linearization",
    "projected_gradient_descent": "projected gradient",
}


class SatPhases(Figure):
    """(a) Share of random formulas of n variables that can be satisfied, against clauses for each
    variable, by a complete solver. (b) Share of these of which some start of descent on the concave
    program reaches 0, for the smallest and the largest n. Bands and bars: 99 % intervals. Dotted:
    4.27, where the share falls as n grows."""

    needs = ("sat_phases",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["sat_phases"]
        figure, (left, right) = plt.subplots(
            1, 2, figsize=(6.75, 3.1), sharey=True, layout="constrained"
        )
        figure.suptitle(f"{_told(found)} (99 % intervals)", fontsize="medium")
        _satisfiable(left, found["threshold"])
        _solved(right, found)
        for axis, letter, text in (
            (left, "a", "formulas that can be satisfied"),
            (right, "b", "those of them that descent solves"),
        ):
            axis.axvline(4.27, color="0.5", lw=0.8, ls=":", zorder=0)
            axis.set_title(f"({letter}) {text}", loc="left", fontsize=7)
            axis.set_xlabel(r"clauses for each variable, $m/n$")
            axis.set_ylim(-0.03, 1.05)
        for axis in (left, right):
            beside(axis, 4.35, 0.95, "4.27: large $n$", color="0.35")
        left.set_ylabel("share")
        figure.legend(
            *right.get_legend_handles_labels(), loc="outside lower center", ncols=2,
            fontsize=7, columnspacing=1,
        )  # fmt: skip
        return figure


def _told(found) -> str:
    """How much descent solves where it first solves less than half."""
    for ratio in sorted(set(found["ratio"].values)):
        solved = found["solved"].sel(ratio=ratio).values
        if np.nanmean(solved) < 0.5:
            low, high = percent(np.nanmin(solved)), percent(np.nanmax(solved))
            return (
                f"At $m/n$ = {ratio:g} descent solves {low} to {high} of the formulas that can be"
                " satisfied"
            )
    return "Descent solves most of the formulas that can be satisfied"


def _satisfiable(axis, thresholds) -> None:
    ratio = np.linspace(0.8, 7, 311)
    for number, size in enumerate(thresholds["size"].values):
        values = thresholds.sel(size=size).values
        counts = (values[:, None] >= ratio - 1e-9).sum(axis=0)
        middle, low, high = np.array([share(int(one), len(values)) for one in counts]).T
        axis.plot(ratio, middle, color=f"C{number}", ls=LINES[number % 3], lw=1.3)
        axis.fill_between(ratio, low, high, color=f"C{number}", alpha=0.15, lw=0)
        at = np.flatnonzero(middle > 0.78 - 0.16 * number)[-1]
        axis.annotate(
            f"$n = {size}$", (ratio[at], middle[at]), (1.2, middle[at]), va="center",
            fontsize=7, color=ink(f"C{number}"),
            arrowprops={"arrowstyle": "-", "lw": 0.5, "color": f"C{number}"},
        )  # fmt: skip
    axis.set_xlim(0.8, 7)


def _solved(axis, found) -> None:
    """Points of the methods are moved apart a little."""
    ends = sorted({0, found.sizes["size"] - 1})
    for place, name in enumerate(found["optimizer"].values):
        for number in ends:
            part = found.isel(optimizer=place, size=number)
            middle, color = part["solved"].values, f"C{number}"
            shift = place * len(ends) + ends.index(number) - len(ends) + 0.5
            ratio = part["ratio"].values + 0.06 * shift
            spans = middle - part["solved_low"].values, part["solved_high"].values - middle
            axis.errorbar(
                ratio, middle, spans, fmt="os"[place % 2], ls=("-", "--")[place % 2], ms=4, lw=1,
                elinewidth=0.7, color=color, mfc=(color, "white")[place % 2],
                label=f"{NAMES.get(str(name), str(name))}, $n = {part['size'].item()}$",
            )  # fmt: skip
    axis.set(xlim=(0.8, 5.2), xticks=range(1, 6))


@nnflow.hookimpl
def nnflow_register(register):
    register("sat_phases", SatPhases)
