"""Training curves of noisy starts, and of networks with top weights."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, flag_mask

from ....general.figures._page import WIDE, beside, note
from .._teacher import at_teacher

FLOOR = 1e-12
"""Losses below are drawn at this one: rounding."""
ROOM = 0.12
"""Of the height of a panel, below the curves, for words."""
MOST_COLUMNS = 4
"""Panels in a row, unless there are more K."""
ENDS = {"ends at w*": ("C0", "-"), "ends at an image": ("C3", "--"), "elsewhere": ("0.5", ":")}
"""Colour and dashes of a run by its end, for networks with top weights."""


class NoisyCurves(Figure):
    """Loss of single runs against steps, from x₀w* with noise. Upper row: K neurons with top
    weights 1; colours are noise levels in units of x₀. Below: top weights a; solid runs end at w*,
    dashed ones at another network of the same function, dotted ones have not converged or end
    elsewhere. Curves end where a run is decided: for some, where it is proved to be in the basin of
    a minimum. After Tian 2017, Fig. 9."""

    needs = ("training", "critical_points", "noisy_initialization")

    most: PositiveInt = 8
    """Runs drawn of each configuration."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["noisy_initialization"]
        split = dict(zip(analysis["configuration"].values, analysis["split"].values, strict=True))
        upper, lower = {}, []
        for configuration in results.configurations:
            if getattr(configuration.settings.model, "top", None):
                lower.append(configuration)
            elif split[configuration.label] == 1:
                upper.setdefault(configuration.settings.model.k, []).append(configuration)
        levels = sorted({_level(one) for group in upper.values() for one in group})
        shades = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(levels)))
        colors = dict(zip(levels, shades, strict=True))
        columns = max(len(upper), min(len(lower), MOST_COLUMNS), 1)
        rows = 1 + math.ceil(len(lower) / columns)
        figure, axes = plt.subplots(
            rows, columns, figsize=(WIDE, 0.6 + 1.75 * rows), sharex=True, sharey=True,
            squeeze=False,
        )  # fmt: skip
        for axis in axes.flat:
            axis.set_visible(False)
        titles = []
        for axis, (count, configurations) in zip(axes[0], upper.items(), strict=False):
            _noise(axis, results, configurations, self.most, colors)
            titles.append(f"K = {count}, noise")
        for axis, configuration in zip(axes[1:].flat, lower, strict=False):
            _top(axis, results, configuration, self.most)
            titles.append(f"a = {_weights(configuration.settings.model.top)}")
        shown = [axis for axis in axes.flat if axis.get_visible()]
        for axis, title, letter in zip(shown, titles, "abcdefghijkl", strict=False):
            axis.set_title(f"({letter}) {title}", loc="left", fontsize=7)
            axis.set_xscale("symlog", linthresh=10)
            axis.set_yscale("log")
            axis.set_xlim(left=0)
            axis.tick_params(labelbottom=True)
            axis.set_xticks([0, 10, 100, 1000], ["0", "10", "100", "1000"])
            axis.minorticks_off()
        low, high = axes[0, 0].get_ylim()
        axes[0, 0].set_ylim(low / (high / low) ** ROOM, high)
        for row in axes:
            row[0].set_ylabel("loss")
        for axis in axes[-1]:
            axis.set_xlabel("step")
        _key(figure, colors)
        home, runs = _home(results, lower)
        noisy, starts = _home(results, [one for group in upper.values() for one in group])
        figure.suptitle(
            f"{noisy} of {starts} noisy starts reach w*, with other top weights {home} of {runs}"
        )
        note(
            figure, f"the first {self.most} runs of each case", "steps linear up to 10",
            "after Tian 2017, Fig. 9",
        )  # fmt: skip
        return figure


def _key(figure, colors) -> None:
    from matplotlib.lines import Line2D

    levels = [Line2D([], [], color=c, label=f"noise {level:g}") for level, c in colors.items()]
    ends = [
        Line2D([], [], color=color, ls=dashes, label=text) for text, (color, dashes) in ENDS.items()
    ]
    hidden = [axis for axis in figure.axes if not axis.get_visible()]
    if hidden:  # an empty place among the panels
        hidden[0].set_visible(True)
        hidden[0].set_axis_off()
        hidden[0].legend(handles=[*levels, *ends], loc="center", fontsize=7)
    else:
        figure.legend(handles=[*levels, *ends], loc="outside right upper", fontsize=7)


def _home(results, configurations) -> tuple[int, int]:
    """How many runs of these configurations end at w*, and how many there are."""
    home = runs = 0
    for configuration in configurations:
        reached, at = _ends(results, configuration)
        home, runs = home + int((reached & at).sum()), runs + len(at)
    return home, runs


def _ends(results, configuration) -> tuple[np.ndarray, np.ndarray]:
    """Which runs converged to a global minimum, and which of the ends are w*."""
    trained, critical = (
        results.at(name, configuration.label) for name in ("training", "critical_points")
    )
    reached = flag_mask(critical["is_global"], "yes") & flag_mask(trained["status"], "converged")
    return reached, at_teacher(critical["w"].values)


def _level(configuration) -> float:
    """The noise of a start in units of x₀."""
    return round(configuration.settings.initializer.noise / configuration.settings.initializer.x, 9)


def _weights(top) -> str:
    """Top weights in short: 1 (×4), −1."""
    values, counts = np.unique(top, return_counts=True)
    order = np.argsort(-values)
    if len(values) > 3:
        return f"{_number(values[0])} … {_number(values[-1])}"
    return ", ".join(
        _number(values[i]) + (f" (×{counts[i]})" if counts[i] > 1 else "") for i in order
    )


def _number(value: float) -> str:
    return f"{value:g}".replace("-", "−")


def _noise(axis, results, configurations, most: int, colors) -> None:
    axis.set_visible(True)
    home, runs = _home(results, configurations)
    for configuration in configurations:
        trained = results.at("training", configuration.label)
        for run in range(min(most, trained.sizes["run"])):
            _curve(axis, trained, run, color=colors[_level(configuration)])
    _count(axis, home, runs)


def _top(axis, results, configuration, most: int) -> None:
    axis.set_visible(True)
    trained = results.at("training", configuration.label)
    reached, home = _ends(results, configuration)
    looks = list(ENDS.values())
    for run in range(min(most, trained.sizes["run"])):
        color, dashes = looks[2 if not reached[run] else 0 if home[run] else 1]
        _curve(axis, trained, run, color=color, ls=dashes)
    _count(axis, int((reached & home).sum()), len(home))


def _count(axis, home: int, runs: int) -> None:
    beside(axis, 0.04, 0.04, f"{home} of {runs} reach w*", transform=axis.transAxes)


def _curve(axis, trained, run: int, **style) -> None:
    step, loss = trained["trace_step"].values, trained["trace_loss"].values[run]
    going = np.isfinite(loss)
    steps = np.append(step[going], trained["steps"].values[run])
    losses = np.append(loss[going], trained["loss"].values[run])
    axis.plot(steps, np.maximum(losses, FLOOR), lw=0.8, **style)


@nnflow.hookimpl
def nnflow_register(register):
    register("noisy_curves", NoisyCurves)
