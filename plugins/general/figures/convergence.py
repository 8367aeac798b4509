"""How fast the runs of each configuration converge."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Figure

from ._families import selected_configurations
from ._legend import legend_below
from ._names import configuration_name
from ._page import HALF, WIDE, beside, ink, lettered, note

COLOURS = 8
"""Colours of the palette."""
FEW = 3
"""Configurations up to which each is named at the end of its line, and not in a legend."""
LABELS = {"loss": "loss − infimum", "gradient_norm": "gradient norm"}


class Convergence(Figure):
    """Distance from the end against step, one colour per configuration of the study: the median
    over the runs (thick) with single runs (thin) or with the range from the first to the third
    quartile (band). For the band, a run that has ended keeps its last value; the median is drawn
    until half of the runs have ended. Where the infimum of the loss is not known, the lowest
    recorded loss stands for it. Configurations beyond an even selection are left out, and the
    figure says how many."""

    needs = ("training",)

    show: Annotated[list[Literal["loss", "gradient_norm"]], Field(min_length=1)] = [
        "loss",
        "gradient_norm",
    ]
    """Quantities, one panel each."""
    spread: Literal["band", "lines"] = "band"
    """Band between the quartiles, or a thin line for each run."""
    most: PositiveInt = 50
    """Maximum number of runs of a configuration that are drawn as lines."""
    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of all."""
    most_configurations: Annotated[int, Field(gt=0, le=COLOURS)] = 8
    """Maximum number of configurations that are selected, each with a colour of its own."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        size = (HALF if len(self.show) == 1 else WIDE, 3.4)
        figure, axes = plt.subplots(1, len(self.show), figsize=size, squeeze=False)
        shown = selected_configurations(results, self.configurations, self.most_configurations)
        for axis, name in zip(axes[0], self.show, strict=True):
            for number, label in enumerate(shown):
                configuration, trained = results.configuration(label), results.at("training", label)
                steps, values = _held(trained, name)
                if name == "loss":
                    values = values - _infimum(configuration, values)
                self._draw(
                    axis,
                    trained,
                    steps,
                    values,
                    f"C{number}",
                    configuration_name(configuration.label),
                )
            axis.set(xlabel="step", ylabel=LABELS[name], yscale="log")
            axis.set_xscale("symlog", linthresh=1)
            axis.set_xlim(left=0)
        if len(self.show) > 1:
            lettered(axes[0])
        if len(shown) > FEW:
            legend_below(figure, axes, columns=4)
        elif len(results.configurations) > 1:
            for axis in axes[0]:
                _name_lines(axis)
        figure.suptitle(_told(results, shown))
        said = "bands: quartiles" if self.spread == "band" else "thick: median, thin: single runs"
        total = len(results.configurations)
        some = f"{len(shown)} of {total} configurations" if total > len(shown) else ""
        note(figure, said, "steps linear up to 1", some)
        return figure

    def _draw(self, axis, trained, steps, values, color: str, label: str) -> None:
        # a logarithmic axis has no place for 0
        values = np.where(values > 0, values, np.nan)
        recorded = np.isfinite(values).any(axis=0)
        if not recorded.any():
            return
        quartiles = np.nanquantile(values[:, recorded], [0.25, 0.5, 0.75], axis=0)
        if self.spread == "band":
            axis.fill_between(steps[recorded], *quartiles[::2], color=color, alpha=0.2, lw=0)
        else:
            for way, end in zip(values[: self.most], trained["steps"].values, strict=False):
                before = steps < end
                x, y = np.append(steps[before], end), np.append(way[before], way[-1])
                axis.plot(x, y, color=color, lw=0.4, alpha=0.4)
        # up to where half of the runs have ended: from there on most values are held
        going = steps[recorded] <= np.median(trained["steps"].values)
        going[:1] = True
        axis.plot(steps[recorded][going], quartiles[1][going], color=color, lw=1.6, label=label)


def _name_lines(axis) -> None:
    """The names of the medians, below the ends of what is drawn in their colours."""
    named = [line for line in axis.lines if not line.get_label().startswith("_")]
    for line in named:
        x, color = line.get_xdata()[-1], line.get_color()
        lowest = min(np.nanmin(one.get_ydata()) for one in axis.lines if one.get_color() == color)
        place = axis.transAxes.inverted().transform(axis.transData.transform((x, lowest)))[0]
        beside(
            axis, x, lowest / 2, line.get_label(), color=ink(color), va="top",
            ha="right" if place > 0.5 else "left",
        )  # fmt: skip
    low, high = axis.get_ylim()
    axis.set_ylim(low / (high / low) ** 0.06, high)


def _told(results, shown) -> str:
    """Steps of the median run, of the fastest and of the slowest configuration."""
    steps = {
        label: float(np.median(results.at("training", label)["steps"].values)) for label in shown
    }
    fast, slow = (choose(steps, key=steps.get) for choose in (min, max))
    if steps[fast] == steps[slow]:
        return f"The median run ends after {steps[fast]:,.0f} steps"
    first, last = (f"{steps[one]:,.0f} ({configuration_name(one)})" for one in (fast, slow))
    return f"The median run ends after {first} to {last} steps"


def _held(trained, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The recorded steps up to the last end, (step,), and the values there, (run, step). From
    its end on, a run keeps its last value."""
    ends, recorded = trained["steps"].values, trained["trace_step"].values
    before = recorded < ends.max()
    steps = np.append(recorded[before], ends.max())
    last = trained[name].values[:, None]
    trace = np.append(trained[f"trace_{name}"].values[:, before], last, axis=1)
    return steps, np.where(steps < ends[:, None], trace, last)


def _infimum(configuration, losses: np.ndarray) -> float:
    infimum = configuration.settings.model.infimum()
    return np.nanmin(losses) if infimum is None else infimum


@nnflow.hookimpl
def nnflow_register(register):
    register("convergence", Convergence)
