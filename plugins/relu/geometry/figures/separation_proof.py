"""The boxes on which the sign of L₁₂ is proved."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, beside, lettered, note

COLORS = {
    ("value", 1): "#f0a884",
    ("slope", 1): "#fbe6dc",
    ("value", -1): "#1f4e8c",
    ("slope", -1): "#4a74aa",
}
UNDECIDED = "black"
NAMES = {
    ("value", 1): "L₁₂ > 0",
    ("slope", 1): "∂L₁₂/∂φ > 0",
    ("value", -1): "L₁₂ < 0",
    ("slope", -1): "∂L₁₂/∂φ < 0",
}
ZOOM = (0.5, 0.25)
"""Right and upper edge of what the second panel shows."""


class SeparationProof(Figure):
    """Boxes of the proof of Conjecture 1, in the plane of φ and θ₁₂. Light (red): L₁₂ > 0 there;
    dark (blue): L₁₂ < 0; paler: L₁₂ rises or falls with φ, near a line on which it vanishes; black:
    undecided. (b) The frame in (a): the boxes at θ₁₂ = 0 are those of expansions in θ₁₂, which
    reach the edge."""

    needs = ("separation_proof",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.patches import Patch, Rectangle

        analysis = results["separation_proof"]
        figure, axes = plt.subplots(1, 2, figsize=(WIDE, 3.3), width_ratios=(1.5, 1))
        for axis, across, up in zip(axes, (2, ZOOM[0]), (1, ZOOM[1]), strict=True):
            axis.set(xlim=(-0.05, across), ylim=(0, up))
            _boxes(axis, analysis)
            axis.plot([0, 1], [0, 1], color="k", lw=1)
            axis.axvline(0, color="k", lw=1)
            axis.set(xlabel="φ / π", ylabel="θ₁₂ / π")
        axes[0].add_patch(
            Rectangle((-0.05, 0), ZOOM[0] + 0.05, ZOOM[1], fill=False, ec="black", lw=1.6)
        )
        beside(axes[0], ZOOM[0] + 0.02, ZOOM[1], "(b)", va="top", fontsize=8)
        lettered(axes, "all angles", "near θ₁₂ = 0")
        handles = [
            Patch(fc=COLORS[key], ec="0.3", lw=0.4, label=name) for key, name in NAMES.items()
        ]
        handles.append(Patch(fc=UNDECIDED, label="undecided"))
        figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.2)
        undecided = _undecided(analysis)
        how = "is proved" if undecided == 0 else f"is open on {undecided:,} of them"
        figure.suptitle(f"The sign of L₁₂ {how} on {analysis.sizes['box']:,} boxes: Conjecture 1")
        note(figure, "L₁₂ vanishes on the black lines", "compare Tian 2017, Fig. 10 (c)")
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
