"""Panels of planes through weight space: a row for each configuration, a column for each plane."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ._names import configuration_name

TITLES = {
    "random": "two random directions",
    "filter_normalized": "two directions,\nfilter-normalized",
    "top_eigenvectors": "two highest\neigenvectors",
    "bottom_eigenvectors": "two lowest\neigenvectors",
    "runs": "through the ends\nof three runs",
    "trajectory": "along a run\n(principal axes)",
}


def page_width(columns: int) -> float:
    """Inches of a figure with so many planes in a row."""
    return 6.75 if columns > 2 else 5.0 if columns > 1 else 3.3


def headed(axes, part, row: int, quantity: str) -> None:
    """Letters and titles above a row of panels, and what is shown left of it. part: the planes of
    the row's configuration."""
    for column, name in enumerate(part["plane"].values):
        letter = chr(ord("a") + row * len(axes) + column)
        title = TITLES[str(name)] if row == 0 else ""
        axes[column].set_title(f"({letter}) {title}".strip(), fontsize=7)
    named = configuration_name(str(part["configuration"].values))
    axes[0].set_ylabel(f"{named}\n{quantity}" if named != "all" else quantity, fontsize=7)


def panels(planes, most: int, heights: tuple[float, float], panel: Callable[..., Any], **shared):
    """A figure whose panels `panel(axis, plane)` draws, with what it gives for each, row by row.

    planes: of the analysis `loss_planes`. most: configurations at most. heights: in inches, of what
    is not panels, and of each row. shared: options of `plt.subplots`.
    """
    import matplotlib.pyplot as plt

    rows, columns = min(most, planes.sizes["configuration"]), planes.sizes["plane"]
    size = (page_width(columns), heights[0] + heights[1] * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, **shared)
    given = []
    for row in range(rows):
        part = planes.isel(configuration=row)
        given += [panel(axes[row, column], part.isel(plane=column)) for column in range(columns)]
        headed(axes[row], part, row, "loss")
        for axis in axes[row]:
            axis.tick_params(labelsize=7, pad=1, length=2)
    return figure, axes, given
