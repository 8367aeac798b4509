"""Zooms into the border between training and divergence."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from .._panels import WIDE, lettered

SHOWN = 3
"""Maps of the network that are shown, the first ones."""


class TrainingBorder(Figure):
    """Which pairs of rates train a tanh network (dark), in zooms into the part of the map before
    that is framed; and, last, a parabola of two weights. D is the box-counting dimension of the
    border in the map. After Sohl-Dickstein 2024, Fig. 1."""

    needs = ("training_border",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["training_border"]
        figure, axes = plt.subplots(1, SHOWN + 1, figsize=(WIDE, 2.5))
        shown = min(SHOWN, found.sizes["zoom"])
        panels = [("network", zoom) for zoom in range(shown)] + [("control", 0)]
        for axis, (kind, zoom) in zip(axes, panels, strict=False):
            part = found.sel(kind=kind)
            _panel(axis, part.isel(zoom=zoom))
            if kind == "network" and zoom + 1 < shown:
                _frame(axis, part.isel(zoom=zoom + 1))
            name = "parabola" if kind == "control" else f"zoom ×{8**zoom}" if zoom else "network"
            axis.set_xlabel(f"{name}\n$D={float(part['dimension'][zoom].mean()):.2f}$", fontsize=8)
        axes[0].set_ylabel(r"output rate $\eta_1$", fontsize=8)
        axes[0].set_title(r"        hidden rate $\eta_0$ →", fontsize=7, loc="center")
        figure.suptitle("Zooms into a network's border find more border, a parabola's none",
                        fontsize=9)  # fmt: skip
        lettered(axes)
        return figure


def _panel(axis, part) -> None:
    (left, bottom), (right, top) = part["low"].values, part["high"].values
    axis.imshow(
        part["trains"].values, origin="lower", extent=(left, right, bottom, top), aspect="auto",
        cmap="Blues", vmin=-0.1, vmax=1.2, interpolation="nearest",
    )  # fmt: skip
    ends = [np.array([left, right]), np.array([bottom, top])]
    digits = max(2, int(np.ceil(-np.log10(right - left))) + 2)
    axis.set_xticks(ends[0], [f"{left:.{digits}g}", f"{right:.{digits}g}"], fontsize=6)
    axis.set_yticks(ends[1], [f"{bottom:.{digits}g}", f"{top:.{digits}g}"], fontsize=6)
    for text, place in zip(axis.get_xticklabels(), ("left", "right"), strict=True):
        text.set_ha(place)
    for text, place in zip(axis.get_yticklabels(), ("bottom", "top"), strict=True):
        text.set(va=place, rotation=90)


def _frame(axis, part) -> None:
    """The next map's edge."""
    import matplotlib.pyplot as plt

    (left, bottom), (right, top) = part["low"].values, part["high"].values
    axis.add_patch(
        plt.Rectangle((left, bottom), right - left, top - bottom, fill=False, ec="black", lw=1)
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("training_border", TrainingBorder)
