"""The proved tubes of the lowest eigenvalue and of the loss over all widths."""

from __future__ import annotations

import math

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import beside, counted, lettered, note

WIDTHS = (6, 10, 20, 100, 1000)
"""Widths that are marked on the axis."""
LIMIT = 1 / 4 - 1 / (2 * np.pi)
"""Lowest eigenvalue as k → ∞ (Arjevani & Field 2020)."""
NAMES = {
    "one_turned": "1 neuron turned (type II)", "two_turned": "2 turned", "three_turned": "3 turned",
    "four_turned": "4 turned", "type_one": "all but 1 (type I)", "type_a": "all (type A)",
}  # fmt: skip
MARKERS = "osD^vX"
"""Of the families in this order, so that they differ in grey, too."""
MANY = ("type_one", "type_a")
"""Families whose loss does not fall with k."""


class EveryWidthFigure(Figure):
    """(a) Lowest Hessian eigenvalue of families of points with some neurons turned, over s = 1/√k.
    It lies in the band of each, as is proved for all real k at once; dots are integers k.
    (b) k times the loss of those with few turned neurons, (c) the loss of those with nearly all,
    in the same way. Dotted: the common limit ¼ − 1/2π."""

    needs = ("every_width",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        proofs = results["every_width"]
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 3.6), layout="constrained")
        of = proofs["of_family"].values.astype(str)
        starts = {}
        for index, (family, label) in enumerate(NAMES.items()):
            if family in of:
                some = proofs.isel(certificate=of == family).sel(family=family)
                starts[family] = _start(some)
                style = {"color": f"C{index}", "marker": MARKERS[index], "label": label}
                _tube(axes[0], some, "eigenvalue", style)
                _tube(axes[2 if family in MANY else 1], some, "loss", style)
        axes[0].axhline(LIMIT, color="k", ls=":", lw=0.8)
        beside(axes[0], 0.41, LIMIT, r"limit $\frac{1}{4} - \frac{1}{2\pi}$", ha="right", va="top")
        for axis in axes:
            axis.set(xlim=(0, 0.42), ylim=(0, None))
            axis.set_xticks(
                [0, *(width**-0.5 for width in WIDTHS)], [r"$\infty$", *map(str, WIDTHS)]
            )
            axis.tick_params(axis="x", labelsize=7, rotation=90)
        axes[1].set_xlabel(r"width $k$, on the scale of $s = 1/\sqrt{k}$")
        lettered(axes, "lowest eigenvalue", "$k$ times the loss $F$", "loss $F$")
        figure.suptitle(_told(starts))
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        note(figure, "shaded: proved for all real k · marks: computed at integers k")
        return figure


def _start(proofs) -> int:
    """The least width of the boxes; 0 where one of them shows no minimum above 0, or one is
    missing."""
    bounds = (proofs[f"{name}_low"].values for name in ("eigenvalue", "loss"))
    edges = np.sort(np.stack([proofs["low"].values, proofs["high"].values], axis=1), axis=0)
    joined = edges[0, 0] <= 0 and (edges[1:, 0] <= edges[:-1, 1]).all()
    proved = joined and all((bound > 0).all() for bound in bounds)
    return math.ceil(proofs["high"].values.max() ** -2 - 1e-9) if proved else 0


def _told(starts: dict[str, int]) -> str:
    """The families by the width from which on they are proved to be spurious minima."""
    least = sorted({start for start in starts.values() if start})
    of = {start: list(starts.values()).count(start) for start in least}
    said = [f"{counted(of[start], 'family', 'families')} from k = {start} on" for start in least]
    return (
        f"Spurious minima at every width are proved: {', '.join(said)}"
        if said
        else "Nothing is proved"
    )


def _tube(axis, proofs, name: str, style: dict) -> None:
    """The band between both bounds, and some integers k in it."""
    low, high = proofs["low"].values, proofs["high"].values
    edges = np.append(low, high[-1])
    bounds = [proofs[f"{name}_{end}"].values for end in ("low", "high")]
    steps = [np.append(values, values[-1]) for values in bounds]
    color = style["color"]
    axis.fill_between(edges, *steps, step="post", alpha=0.5, lw=0.6, ec=color, color=color)
    axis.plot(
        proofs["width"].values ** -0.5, proofs[f"{name}_at"].values, ls="none", ms=2.5, **style
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("every_width", EveryWidthFigure)
