"""The proved tube of the lowest eigenvalue over all widths."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

WIDTHS = (6, 7, 8, 10, 20, 100, 1000)
"""Widths that are marked on the axis."""
LIMIT = 1 / 4 - 1 / (2 * np.pi)
"""Lowest eigenvalue as k → ∞ (Arjevani & Field 2020)."""


class EveryWidthFigure(Figure):
    """(a) Lowest Hessian eigenvalue of the family with one turned neuron, over s = 1/√k. It lies
    between the edges of the band, as is proved for all real k at once; dots are integers k. (b) k
    times its loss, in the same way. Dotted: the limits ¼ − 1/2π and ½ − 2/π²."""

    needs = ("every_width",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        proofs = results["every_width"]
        count, undecided = (int(proofs[name].item()) for name in ("boxes", "undecided"))
        figure, axes = plt.subplots(1, 2, figsize=(6.75, 2.9), layout="constrained")
        _tube(axes[0], proofs, "eigenvalue", LIMIT, r"$\frac{1}{4} - \frac{1}{2\pi}$")
        _tube(axes[1], proofs, "loss", 1 / 2 - 2 / np.pi**2, r"$\frac{1}{2} - \frac{2}{\pi^2}$")
        axes[0].set_title("(a) lowest Hessian eigenvalue", loc="left")
        axes[1].set_title("(b) $k$ times the loss", loc="left")
        left = "all proved" if undecided == 0 else f"{undecided} more undecided"
        figure.suptitle(
            f"A spurious minimum at every width $k \\geq 6$: {count} boxes, {left}", fontsize=9
        )
        return figure


def _tube(axis, proofs, name: str, limit: float, text: str) -> None:
    """The band between both bounds, some integers k in it, and the limit at s = 0."""
    low, high = proofs["low"].values, proofs["high"].values
    edges = np.append(low, high[-1])
    bounds = [proofs[f"{name}_{end}"].values for end in ("low", "high")]
    steps = [np.append(values, values[-1]) for values in bounds]
    axis.fill_between(edges, *steps, step="post", color="C0", alpha=0.35, lw=0.6, ec="C0")
    axis.plot(proofs["width"].values ** -0.5, proofs[f"{name}_at"].values, "k.", ms=3)
    axis.axhline(limit, color="k", ls=":", lw=0.8)
    axis.annotate(text, (high[-1], limit), ha="right", va="bottom", fontsize=8.5)
    axis.set(
        xlim=(0, high[-1] * 1.01),
        ylim=(0, None),
        xlabel=r"width $k$, on the scale of $s = 1/\sqrt{k}$",
    )
    axis.set_xticks([0, *(width**-0.5 for width in WIDTHS)], [r"$\infty$", *map(str, WIDTHS)])
    axis.tick_params(axis="x", labelsize=7)
    for tick, width in zip(axis.get_xticklabels()[1:], WIDTHS, strict=True):
        if width == 7:
            tick.set_visible(False)


@nnflow.hookimpl
def nnflow_register(register):
    register("every_width", EveryWidthFigure)
