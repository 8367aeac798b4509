"""A landscape of two weights, the ways of its runs and its critical points."""

from __future__ import annotations

import math

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

import nnflow
from nnflow import Figure, UserError

from .._marks import MARKS
from ._legend import legend_below
from ._names import configuration_name, symbol
from ._page import HALF, WIDE, counted, lettered, note

LEVELS = 14
"""Contour lines."""
SAME = 1e-3
"""Sides of the panel within which two ends are one point."""
PLURALS = {"minimum": "minima", "maximum": "maxima"}


class Landscape(Figure):
    """Level lines of the loss (darker is lower; their heights are evenly spaced on a logarithmic
    scale above the lowest), with the critical points that the runs reached. Thin lines are the
    ways of some runs, from a dot to an arrowhead, at the steps that were recorded, with a smaller
    dot at steps 10, 100, 1000, …"""

    needs = ("training", "critical_points", "loss_grid")

    configurations: list[str] = []
    """Labels of the study's configurations to show, one panel each; empty: all, up to `most`."""
    most: PositiveInt = 6
    """Maximum number of panels."""
    runs: NonNegativeInt = 12
    """Runs whose ways are drawn, where the model's observables `along` were recorded."""
    along: tuple[str, str] = ("w1", "w2")
    """Observables that are the two weights."""
    floor: bool = False
    """Draw the floor of a valley: for each first weight the lowest point, dashed."""
    columns: PositiveInt = 3
    """Panels in a row."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        shown = self._shown(results)
        columns = min(self.columns, len(shown))
        rows = math.ceil(len(shown) / columns)
        width = WIDE if columns > 1 else HALF
        size = (width, 0.8 + rows * (0.45 + 0.8 * width / columns))
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
        for axis in axes.flat[len(shown) :]:
            axis.set_visible(False)
        titles, counts, known = [], [], False
        for axis, configuration in zip(axes.flat, shown, strict=False):
            _contours(axis, results["loss_grid"].sel(configuration=configuration.label), self.floor)
            known |= self._ways(axis, results.at("training", configuration.label))
            ends = results.at("critical_points", configuration.label)
            counts.append(_marks(axis, configuration.settings.model, ends))
            axis.set(xlabel=symbol(self.along[0]), ylabel=symbol(self.along[1]))
            titles.append(configuration_name(configuration.label))
        lettered(axes.flat[: len(shown)], *titles)
        legend_below(figure, axes, columns=5)
        figure.suptitle(_told(titles, counts))
        drawn = min(self.runs, *(configuration.settings.runs for configuration in shown))
        if known:
            note(figure, f"ways of {drawn} runs, a dot at each tenfold step")
        return figure

    def _shown(self, results) -> list:
        configurations = {
            configuration.label: configuration for configuration in results.configurations
        }
        for label in self.configurations:
            if label not in configurations:
                there = "; ".join(configurations)
                raise UserError(
                    f"{results.study.file}: figures: no configuration {label!r}"
                    f" (there are: {there})"
                )
        return [configurations[label] for label in self.configurations] or list(
            configurations.values()
        )[: self.most]

    def _ways(self, axis, trained) -> bool:
        """Draws the ways; were they recorded?"""
        names = [f"trace_{name}" for name in self.along]
        if any(name not in trained for name in names):
            return False
        steps = trained["trace_step"].values
        for run in range(min(self.runs, trained.sizes["run"])):
            way = np.stack([trained[name].values[run] for name in names])
            known = np.isfinite(way).all(axis=0)
            if known.any():
                _way(axis, *way[:, known])
                _times(axis, steps[known], *way[:, known])
        return True


def _times(axis, steps: np.ndarray, x: np.ndarray, y: np.ndarray) -> None:
    """Dots at steps 10, 100, 1000, … of one run, as far as it went."""
    decades = 10 ** np.arange(1, 9)
    decades = decades[decades < steps[-1]]
    places = [np.abs(steps - one).argmin() for one in decades]
    axis.plot(x[places], y[places], ".", color="0.15", ms=2.5, zorder=2)


def _told(titles: list[str], counts: list[dict[str, int]]) -> str:
    """What kinds of critical points the runs of each panel reached."""
    said = []
    for title, kinds in zip(titles, counts, strict=True):
        each = [counted(n, kind, PLURALS.get(kind, "")) for kind, n in kinds.items()]
        said.append((title, ", ".join(each) or "no critical point"))
    if len({text for _, text in said}) == 1:
        return f"Runs reach {said[0][1]}" + (" in every panel" if len(said) > 1 else "")
    told = "; ".join(f"{title} reaches {text}" for title, text in said)
    return told[:1].upper() + told[1:]


def _contours(axis, grid, floor: bool) -> None:
    first, second, loss = (grid[name].values for name in ("first", "second", "loss"))
    loss = np.where(np.isfinite(loss), loss, np.nan)
    if np.isnan(loss).all():
        return
    # logarithmic heights above the lowest value, from a ten-thousandth of the range on
    above = loss - np.nanmin(loss)
    heights = np.log10(above + 1e-4 * np.nanmax(above))
    levels = np.linspace(np.nanmin(heights), np.nanmax(heights), LEVELS + 1)
    axis.contourf(first, second, heights, levels, cmap="Blues_r", alpha=0.55, zorder=0)
    lines = {"colors": "0.45", "linewidths": 0.3, "linestyles": "solid", "zorder": 0.5}
    axis.contour(first, second, heights, levels, **lines)
    axis.set(xlim=first[[0, -1]], ylim=second[[0, -1]])
    if floor:
        rows = loss if loss.shape == (len(second), len(first)) else loss.T
        lowest = np.where(np.isnan(rows), np.inf, rows).argmin(axis=0)
        inside = (lowest > 0) & (lowest < len(second) - 1)
        axis.plot(first[inside], second[lowest[inside]], "--", color="C3", lw=0.9, label="floor")


def _way(axis, x: np.ndarray, y: np.ndarray) -> None:
    """One run: a dot where it began, an arrowhead at its last step of visible length."""
    axis.plot(x, y, color="0.15", lw=0.7, zorder=2)
    axis.plot(x[:1], y[:1], "o", color="0.15", ms=2, zorder=2)
    far = np.flatnonzero(np.hypot(x - x[-1], y - y[-1]) > 0.02 * np.ptp(axis.get_xlim()))
    if far.size:
        tail, head = far[-1], min(far[-1] + 1, len(x) - 1)
        arrow = {"arrowstyle": "-|>", "color": "0.15", "lw": 0.7, "mutation_scale": 6}
        axis.annotate("", (x[head], y[head]), (x[tail], y[tail]), arrowprops=arrow, zorder=2)


def _marks(axis, model, ends) -> dict[str, int]:
    """One mark for each critical point within the panel at which a run ended; how many there are
    of each kind."""
    parts = [ends[name].values for name in model.shapes()]
    places = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    meanings, kinds = ends["kind"].attrs["flag_meanings"].split(), ends["kind"].values
    low, high = np.array([axis.get_xlim(), axis.get_ylim()]).T
    inside = ((places >= low) & (places <= high)).all(axis=1)
    counts = {}
    for kind, mark in MARKS.items():
        found = places[inside & (kinds == meanings.index(kind))]
        cells = np.round((found - low) / (SAME * (high - low)))
        found = found[np.unique(cells, axis=0, return_index=True)[1]]
        if len(found):
            style = {**mark, "s": 40, "edgecolors": "white", "linewidths": 0.6, "zorder": 3}
            axis.scatter(*found.T, label=kind, **style)
            counts[kind] = len(found)
    return counts


@nnflow.hookimpl
def nnflow_register(register):
    register("landscape", Landscape)
