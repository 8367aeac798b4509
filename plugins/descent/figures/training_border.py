"""Zooms into the border between training and divergence."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, lettered

PANELS = (("network", 0), ("network", 1), ("network", 2), ("ripples", 0), ("ripples", 1),
          ("control", 0))  # fmt: skip
"""Kind and zoom of the maps that are shown."""
NAMES = {
    "network": ("network", "hidden rate", "output rate"),
    "ripples": ("ripples", "first rate", "second rate"),
    "control": ("parabola", "first rate", "second rate"),
}
"""What is trained, and its two rates."""


class TrainingBorder(Figure):
    """Which pairs of rates train (dark): (a)–(c) a tanh network, in zooms into the part of the map
    before that is framed; (d), (e) a parabola of two weights with ripples; (f) without them. D is
    the box-counting dimension of the border in the map; below, over all zooms, with 99 %
    intervals. After Sohl-Dickstein 2024, Fig. 1, and Liu 2024."""

    needs = ("training_border",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["training_border"]
        figure, grid = plt.subplots(2, 3, figsize=(WIDE, 4.9), gridspec_kw={"hspace": 0.1})
        axes = grid.ravel()
        for axis, (kind, zoom) in zip(axes, PANELS, strict=True):
            if zoom >= found.sizes["zoom"]:
                axis.set_axis_off()
                continue
            part = found.sel(kind=kind)
            _panel(axis, part.isel(zoom=zoom))
            if (kind, zoom + 1) in PANELS and zoom + 1 < found.sizes["zoom"]:
                _frame(axis, part.isel(zoom=zoom + 1))
            name, across, up = NAMES[kind]
            zoomed = f", zoom ×{8**zoom}" if zoom else ""
            dimension = float(part["dimension"][zoom].mean())
            axis.set_title(f"{name}{zoomed}: $D={dimension:.2f}$", fontsize=7, loc="right")
            axis.set_xlabel(rf"{across} $\eta_0$", fontsize=7, labelpad=-6)
            axis.set_ylabel(rf"{up} $\eta_1$", fontsize=7, labelpad=-6)
        figure.suptitle(
            "Zooms into the borders of a network and of ripples find more border, a parabola's"
            " none\n" + _overall(found),
            fontsize=8,
        )
        lettered(axes)
        return figure


def _overall(found) -> str:
    """The dimensions over all zooms."""
    words = []
    for kind, (name, *_) in NAMES.items():
        value, low, high = (
            float(found[f"{kind}_dimension{end}"].values[0]) for end in ("", "_low", "_high")
        )
        words.append(f"{name} {value:.2f} ({low:.2f}–{high:.2f})")
    return "$D$ over all zooms, 99 %: " + ", ".join(words)


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
