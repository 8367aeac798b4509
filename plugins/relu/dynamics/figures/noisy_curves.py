"""Training curves of noisy starts, and of networks with top weights."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, flag_mask

from .._teacher import at_teacher

FLOOR = 1e-12
"""Losses below are drawn at this one: rounding."""
MOST_COLUMNS = 4
"""Panels in a row, unless there are more K."""


class NoisyCurves(Figure):
    """Loss of single runs against steps, from x₀w* with noise. Upper row: K neurons with top
    weights 1, by K; colours are noise levels in units of x₀. Below: by top weights a; blue
    runs end at w*, orange ones at another network of the same function, grey ones have not
    converged or end elsewhere. Curves end where a run is decided: for some, where it is
    proved to be in the basin of a minimum."""

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
        columns = max(len(upper), MOST_COLUMNS)
        rows = 1 + math.ceil(len(lower) / columns)
        figure, axes = plt.subplots(
            rows, columns, figsize=(2.1 * columns, 0.3 + 1.9 * rows), sharey=True, squeeze=False
        )
        for axis in axes.flat:
            axis.set_visible(False)
        for axis, (count, configurations) in zip(axes[0], upper.items(), strict=False):
            _noise(axis, results, configurations, self.most)
            axis.set_title(f"K = {count}", fontsize="medium")
        for axis, configuration in zip(axes[1:].flat, lower, strict=False):
            _top(axis, results, configuration, self.most)
        for axis in axes.flat:
            axis.set_xscale("symlog", linthresh=10)
            axis.set_yscale("log")
            axis.set_xlim(left=0)
        for row in axes:
            row[0].set_ylabel("loss")
        figure.supxlabel("step", fontsize="medium")
        return figure


def _noise(axis, results, configurations, most: int) -> None:
    import seaborn as sns

    axis.set_visible(True)
    colors = sns.color_palette("viridis", len(configurations))
    for color, configuration in zip(colors, configurations, strict=True):
        trained = results.at("training", configuration.label)
        start = configuration.settings.initializer
        for run in range(min(most, trained.sizes["run"])):
            label = f"{start.noise / start.x:g}" if run == 0 else None
            _curve(axis, trained, run, color=color, label=label)
    axis.legend(title="noise", fontsize="x-small", title_fontsize="x-small", loc="lower left")


def _top(axis, results, configuration, most: int) -> None:
    axis.set_visible(True)
    trained, critical = (
        results.at(name, configuration.label) for name in ("training", "critical_points")
    )
    reached = flag_mask(critical["is_global"], "yes") & flag_mask(trained["status"], "converged")
    home = at_teacher(critical["w"].values)
    for run in range(min(most, trained.sizes["run"])):
        color = "0.6" if not reached[run] else "C0" if home[run] else "C1"
        _curve(axis, trained, run, color=color)
    count = f"{int((reached & home).sum())} of {trained.sizes['run']} runs reach w*"
    axis.text(0.05, 0.05, count, transform=axis.transAxes, fontsize="small")
    axis.set_title(
        "a = " + ", ".join(f"{a:g}" for a in configuration.settings.model.top), fontsize="small"
    )


def _curve(axis, trained, run: int, **style) -> None:
    step, loss = trained["trace_step"].values, trained["trace_loss"].values[run]
    going = np.isfinite(loss)
    steps = np.append(step[going], trained["steps"].values[run])
    losses = np.append(loss[going], trained["loss"].values[run])
    axis.plot(steps, np.maximum(losses, FLOOR), lw=0.8, **style)


@nnflow.hookimpl
def nnflow_register(register):
    register("noisy_curves", NoisyCurves)
