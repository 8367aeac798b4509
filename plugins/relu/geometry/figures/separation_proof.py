"""The boxes on which the sign of L₁₂ is proved."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

COLORS = {
    ("value", 1): "#d6604d",
    ("slope", 1): "#f4c3ae",
    ("value", -1): "#4393c3",
    ("slope", -1): "#b5d5e8",
}
UNDECIDED = "black"


class SeparationProof(Figure):
    """Boxes of the proof of Conjecture 1, in the plane of φ and θ₁₂. Red: L₁₂ > 0 there; blue: L₁₂
    < 0; pale red and blue: L₁₂ rises or falls with φ, near a line on which it vanishes; black:
    undecided. Right: the boxes at θ₁₂ = 0 are those of expansions in θ₁₂, which reach the edge."""

    needs = ("separation_proof",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.patches import Patch

        analysis = results["separation_proof"]
        figure, axes = plt.subplots(1, 2, figsize=(9.6, 3.9), width_ratios=(1.7, 1))
        for axis, across, up in zip(axes, (2, 0.5), (1, 0.25), strict=True):
            axis.set(xlim=(-0.05, across), ylim=(0, up))
            _boxes(axis, analysis)
            axis.plot([0, 1], [0, 1], color="k", lw=1)
            axis.axvline(0, color="k", lw=1)
            axis.set(xlabel="φ / π", ylabel="θ$_{12}$ / π")
        axes[0].set_title(f"{analysis.sizes['box']:,} boxes, {_undecided(analysis)} undecided")
        axes[1].set_title("near θ$_{12}$ = 0")
        names = {
            ("value", 1): "$L_{12}$ > 0", ("slope", 1): "∂$L_{12}$/∂φ > 0",
            ("value", -1): "$L_{12}$ < 0", ("slope", -1): "∂$L_{12}$/∂φ < 0",
        }  # fmt: skip
        handles = [Patch(color=COLORS[key], label=name) for key, name in names.items()]
        axes[0].legend(handles=handles, loc="upper right", frameon=True, framealpha=1)
        return figure


def _undecided(analysis) -> int:
    return int((analysis["decided"] == 0).sum())


def _boxes(axis, analysis) -> None:
    """All boxes as one collection of quadrilaterals; those near φ = 2π are drawn near 0 too."""
    from matplotlib.collections import PolyCollection

    sheet = analysis["sheet"].values
    keys = list(zip(analysis["shows"].values[sheet], analysis["sign"].values[sheet], strict=True))
    color = np.array([COLORS[str(shows), int(sign)] for shows, sign in keys], dtype=object)
    color[analysis["decided"].values == 0] = UNDECIDED
    corners = np.stack([analysis["phi"].values, analysis["theta"].values], axis=2) / np.pi
    # where two sheets lie over one another the first one tells more
    order = np.argsort(-sheet, kind="stable")
    corners, color = corners[order], color[order]
    for shift in (0, 2, -2):
        shifted = corners + np.array([shift, 0])
        low, high = shifted.min(axis=1), shifted.max(axis=1)
        (left, right), (_, top) = axis.get_xlim(), axis.get_ylim()
        seen = (high[:, 0] > left) & (low[:, 0] < right) & (low[:, 1] < top)
        # outlines of thin boxes would hide them; area over length is their width
        scaled = shifted[seen] / [right - left, top]
        x, y = np.moveaxis(scaled, 2, 0)
        area = np.abs((x * np.roll(y, 1, axis=1) - y * np.roll(x, 1, axis=1)).sum(axis=1)) / 2
        length = np.ptp(scaled, axis=1).max(axis=1)
        outline = np.where(area > 0.008 * length, 0.3, 0)
        boxes = PolyCollection(
            shifted[seen],
            facecolors=list(color[seen]),
            edgecolors="white",
            linewidths=outline,
            rasterized=True,
        )
        axis.add_collection(boxes)


@nnflow.hookimpl
def nnflow_register(register):
    register("separation_proof", SeparationProof)
