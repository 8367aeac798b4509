"""The disconnectivity graph of the minima."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ...general.figures._names import configuration_name
from .._graph import merges

NAMES = {"himmelblau": "Himmelblau", "mueller brown": "Müller and Brown"}
"""Proper names of models, by their words."""


ROOM = 0.5
"""Space for labels at the right, as a part of the tree's width."""
APART = 0.06
"""Least distance of two labels, as a part of the range of losses."""


class Disconnectivity(Figure):
    """Families of minima (lower ends of the lines, at their loss) and the lowest saddle found at
    which they become connected (where lines meet). Heights of saddles are upper bounds (≤) of
    barriers, and upper ends of proved intervals where the model gives enclosures. Dashed: which
    minima the saddle joins is computed, not proved. After Becker & Karplus 1997 and Wales, Miller &
    Walsh 1998, Fig. 1."""

    needs = ("landscape_graph",)

    most: PositiveInt = 4
    """Maximum number of panels."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["landscape_graph"]
        labels = [configuration.label for configuration in results.configurations][: self.most]
        width = 6.75 if len(labels) > 2 else 5.0
        figure, axes = plt.subplots(1, len(labels), figsize=(width, 3.0), squeeze=False)
        for number, label in enumerate(labels):
            part = found.sel(configuration=label)
            _tree(axes[0, number], part)
            name = configuration_name(label).removeprefix("model = ")
            name = NAMES.get(name, name)
            axes[0, number].set_title(f"({chr(ord('a') + number)}) {name}", fontsize=8, loc="left")
        axes[0, 0].set_ylabel("loss")
        spurious, joined = (int((found[name] - 1).sum()) for name in ("minima", "joined"))
        ways = found["way_proved"].values[np.isfinite(found["saddle_loss"].values)]
        how = "by proved ways over" if (ways == 1).all() else "over"
        note = "" if (ways == 1).all() else " (dashed: computed, not proved)"
        figure.suptitle(
            f"{joined} of {spurious} families above the lowest one are joined to it"
            f"{' ' if width > 6 else chr(10)}{how} saddles that were found{note}", fontsize=8,
        )  # fmt: skip
        return figure


def _tree(axis, part) -> None:
    heights = part["minimum_loss"].values
    heights = heights[np.isfinite(heights)]
    levels, edges = part["saddle_loss"].values, part["edge"].values
    upper = part["saddle_loss_high"].values
    levels = np.where(np.isfinite(upper), upper, levels)
    known = np.isfinite(levels)
    joined = (part["way_proved"].values == 1).all(axis=1)
    held = set(levels[known & joined])
    steps = merges(heights, edges[known].astype(int), levels[known])
    order = _order(heights, steps)
    place = {node: number for number, node in enumerate(order)}
    top = {frozenset([node]): (place[node], heights[node]) for node in order}
    for level, a, b in steps:
        (xa, ya), (xb, yb) = top[a], top[b]
        x = (xa + xb) / 2
        style = "-" if level in held else "--"
        for x_from, y_from in ((xa, ya), (xb, yb)):
            axis.plot([x_from, x_from, x], [y_from, level, level], style, color="C0", lw=1.2)
        top[a | b] = (x, level)
    _labels(axis, [(max(top[a][0], top[b][0]), level) for level, a, b in steps], heights, order)
    for node in order:
        axis.plot(place[node], heights[node], "o", color="C1", ms=3.5, zorder=3)
    for x, y in [value for group, value in top.items() if not _inside(group, steps)]:
        ceiling = max([level for level, _, _ in steps], default=heights.max())
        axis.plot([x, x], [y, ceiling + 0.06 * (ceiling - heights.min() or 1)], color="C0", lw=1.2)
    axis.set_xticks([])
    last = len(order) - 1
    axis.set_xlim(-0.4, max(last + ROOM * (last + 0.4), 0.6))
    axis.set_xlabel(f"{len(order)} families of minima", fontsize=8)
    axis.spines["bottom"].set_visible(False)
    axis.tick_params(labelsize=7)


def _labels(axis, bars, heights, order) -> None:
    """The heights at the right, apart from one another, each with a line from its bar's end."""
    if not bars:
        return
    levels = np.array([level for _, level in bars])
    gap = APART * (levels.max() - heights.min())
    places = np.sort(levels)
    for number in range(len(places) - 2, -1, -1):
        places[number] = min(places[number], places[number + 1] - gap)
    x = len(order) - 1
    for place, number in zip(places, np.argsort(levels, kind="stable"), strict=True):
        right, level = bars[number]
        ends = [right, x + 0.1 * (x + 1) / 2, x + 0.2 * (x + 1) / 2]
        axis.plot(ends, [level, level, place], color="0.6", lw=0.5, zorder=0)
        text = f"≤ {_at_most(level)}".replace("-", "−")
        axis.annotate(text, (ends[-1], place), (1, 0), textcoords="offset points", fontsize=6.5,
                      va="center")  # fmt: skip


def _at_most(level: float) -> str:
    """Four digits, rounded up: what stands behind ≤ must not be less."""
    from decimal import ROUND_CEILING, Context, Decimal

    return f"{float(Context(prec=4, rounding=ROUND_CEILING).create_decimal(Decimal(level))):.4g}"


def _inside(group, steps) -> bool:
    """Did the group join another one?"""
    return any(group in (a, b) for _, a, b in steps)


def _order(heights, steps) -> list[int]:
    """Minima from left to right so that lines do not cross."""
    lists = {frozenset([node]): [node] for node in range(len(heights))}
    for _, a, b in steps:
        lists[a | b] = lists.pop(a) + lists.pop(b)
    return [node for part in lists.values() for node in part]


@nnflow.hookimpl
def nnflow_register(register):
    register("disconnectivity", Disconnectivity)
