"""How the basins of sampled planes merge."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._plane_panels import panels
from .loss_planes import short

APART = 0.1
"""Least distance of two labels, as a part of the panel's range."""
ROOM = 0.6
"""Space for labels at the right, as a part of the tree's width, and 1 more."""
TOP = 0.08
"""How far the deepest basin's line goes on above the last merge, as a part of the range."""


class MergeTrees(Figure):
    """The merge tree of each plane of `loss_planes`, one row per configuration: each basin of the
    grid is a line from its lowest loss up to the loss at which it merges with a deeper one (bar,
    numbers). Gray: basins less deep than the sampling error of the loss at the center, which other
    samples might not show. A grid sees no basin narrower than its spacing, and puts a pass that
    lies between its points too high; a basin of a plane need hold no minimum of the loss, as
    directions off the plane may lead down, and one at the border (open circle) may go on falling
    beyond it. Two basins that are apart on a plane may be one in the space of all weights. After
    Edelsbrunner & Harer 2010, ch. VII."""

    needs = ("loss_planes",)

    columns: PositiveInt = 4
    """Maximum number of planes."""
    most: PositiveInt = 2
    """Maximum number of configurations."""

    def draw(self, results):
        planes = results["loss_planes"].isel(plane=slice(self.columns))
        figure, _, counts = panels(planes, self.most, (0.7, 1.7), _panel)
        figure.suptitle(_title(counts), fontsize=8)
        return figure


def _title(counts: list[int]) -> str:
    if max(counts) == 1:
        return "Each plane is one basin, as far as its grid tells"
    most = chr(ord("a") + counts.index(max(counts)))
    return f"The plane of ({most}) falls into {max(counts)} basins, as far as its grid tells"


def _panel(axis, plane) -> int:
    """Draws the tree; how many basins are deeper than the sampling error."""
    known = np.isfinite(plane["basin_birth"].values)
    birth, death = (plane[f"basin_{name}"].values[known] for name in ("birth", "death"))
    parent = plane["basin_parent"].values[known].astype(int)
    merging = np.isfinite(death)
    low = birth.min()
    high = max(death[merging], default=plane["loss"].max().item())
    span = (high - low) or 1.0
    error = np.nan_to_num(float(plane["sampling_error"]))
    noise = merging & (death - birth <= error)
    x = leaves(death, parent)
    border = _at_border(plane, plane["basin_place"].values[known])
    for basin in range(len(birth)):
        color = "0.65" if noise[basin] else "C0"
        top = death[basin] if merging[basin] else high + TOP * span
        axis.plot([x[basin]] * 2, [birth[basin], top], color=color, lw=1.2)
        if merging[basin]:
            axis.plot([x[basin], x[parent[basin]]], [top, top], color=color, lw=1.2)
        face = "w" if border[basin] else color
        axis.plot(x[basin], birth[basin], "o", mfc=face, mec=color, ms=3.5, zorder=3)
    shown = merging & ~noise
    _labels(axis, np.maximum(x, x[parent])[shown], death[shown], len(x) - 1, APART * span)
    axis.set_xticks([])
    axis.set_xlim(-0.5, len(x) - 1 + ROOM * (len(x) - 1) + 1)
    axis.set_xlabel(f"{len(x)} basin{'s' * (len(x) > 1)}", fontsize=7)
    axis.spines["bottom"].set_visible(False)
    return int((~noise).sum())


def leaves(death: np.ndarray, parent: np.ndarray) -> np.ndarray:
    """Places 0, 1, … of the basins from left to right such that no bar crosses a line: each basin
    with those that merge into it stands at the right of the one that it merges into, the last to
    merge farthest out."""
    children = {basin: [] for basin in range(len(death))}
    for basin in np.argsort(death, kind="stable"):
        if parent[basin] >= 0:
            children[parent[basin]].append(int(basin))

    def order(basin: int) -> list[int]:
        return [basin] + [one for child in children[basin] for one in order(child)]

    alone = [basin for basin in range(len(death)) if parent[basin] < 0]
    places = np.empty(len(death), dtype=int)
    places[[one for basin in alone for one in order(basin)]] = np.arange(len(death))
    return places


def _at_border(plane, places: np.ndarray) -> np.ndarray:
    """Whose lowest grid point lies at the border of the plane?"""
    ends = np.array([[plane[axis].values.min(), plane[axis].values.max()] for axis in ("x", "y")])
    return (places[:, :, None] == ends).any(axis=(1, 2))


def _labels(axis, rights: np.ndarray, levels: np.ndarray, last: int, gap: float) -> None:
    """The levels at the right, apart from one another, each with a line from its bar's end."""
    order = np.argsort(levels, kind="stable")
    places = np.array(levels[order])
    for number in range(len(places) - 2, -1, -1):
        places[number] = min(places[number], places[number + 1] - gap)
    for place, number in zip(places, order, strict=True):
        ends = [rights[number], last + 0.2, last + 0.5]
        axis.plot(ends, [levels[number], levels[number], place], color="0.6", lw=0.5, zorder=0)
        axis.annotate(
            short(levels[number]), (ends[-1], place), (1, 0), textcoords="offset points",
            fontsize=6.5, va="center",
        )  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("merge_trees", MergeTrees)
