"""The loss along two lines through the ends of runs."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._page import ink
from ._plane_panels import panels
from .loss_planes import short

LOOKS = (("x", {"color": "C0", "ls": "-"}), ("y", {"color": "C1", "ls": "--"}))
FLOOR = 1e-6
"""Losses below this part of the row's highest are drawn as that: logarithms know no 0."""
ERRORS = 2.6
"""Standard errors on either side: 99 %."""


class LossLines(Figure):
    """Loss along the two axes of each plane of `loss_planes` through W, one row per configuration;
    distances are parts of ‖W‖, so that networks compare. Bands are 99 % intervals of the mean over
    samples (2.6 standard errors), where the loss has samples. Where a band is wider
    than what a line does, other samples would show another picture. Losses below a millionth of
    the row's highest are drawn as that."""

    needs = ("loss_planes",)

    columns: PositiveInt = 4
    """Maximum number of planes."""
    most: PositiveInt = 2
    """Maximum number of configurations."""

    def draw(self, results):
        planes = results["loss_planes"].isel(plane=slice(self.columns))
        figure, axes, _ = panels(planes, self.most, (0.6, 1.5), _panel, sharey="row")
        for row in range(len(axes)):
            part = planes.isel(configuration=row)
            high = np.nanmax(part["line_loss"].values)
            axes[row, 0].set_yscale("log")
            axes[row, 0].set_ylim(max(FLOOR * high, np.nanmin(_low(part)) / 1.2), 1.5 * high)
        for axis in axes[-1]:
            axis.set_xlabel("distance / ‖W‖", fontsize=7)
        figure.suptitle(_title(planes.isel(configuration=0)), fontsize=8)
        return figure


def _title(planes) -> str:
    """How far the loss rises on the steepest and on the flattest plane."""
    rises = planes["line_loss"].max(("direction", "line_place")) / planes["center_loss"]
    if not np.isfinite(rises.values).all():  # a loss of 0 at W
        return f"Along these lines the loss rises to {short(float(planes['line_loss'].max()))}"
    order = rises.values.argsort()
    told = [f"{float(f'{rises.values[place]:.2g}'):.0f}-fold" for place in order]
    if len(order) == 1:
        return f"Along these lines the loss rises {told[0]}"
    last, first = (chr(ord("a") + int(order[end])) for end in (-1, 0))
    return (
        f"The loss rises {told[-1]} along the lines of ({last}), {told[0]} along those of ({first})"
    )


def _low(part) -> np.ndarray:
    """Lower ends of the bands that are above 0, losses elsewhere."""
    loss, error = part["line_loss"].values, np.nan_to_num(part["line_error"].values)
    low = loss - ERRORS * error
    return np.where(low > 0, low, loss)


def _panel(axis, plane) -> None:
    norm = float(plane["norm"]) or 1.0
    for place, (letter, look) in enumerate(LOOKS):
        at = plane[letter].values / norm
        loss, error = (plane[name].values[place] for name in ("line_loss", "line_error"))
        axis.plot(at, loss, lw=1.2, **look)
        band = ERRORS * np.nan_to_num(error)
        axis.fill_between(
            at, np.maximum(loss - band, 1e-300), loss + band, color=look["color"], alpha=0.25, lw=0
        )
        end = -1 if place == 0 else 0
        axis.annotate(
            letter, (at[end], loss[end]), (-1 if end else 1, 4), textcoords="offset points",
            ha="right" if end else "left", va="bottom", fontsize=7, color=ink(look["color"]),
        )  # fmt: skip
    axis.axvline(0, color="0.7", lw=0.6, zorder=0)


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_lines", LossLines)
