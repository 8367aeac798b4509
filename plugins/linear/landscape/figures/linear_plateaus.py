"""Plateaus of the loss at the critical values."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Figure

from ....general.figures._names import configuration_name
from ....general.figures._page import HALF, WIDE, at_ends, lettered, note

RATIO, STILL = 2, 0.02
"""A loss stalls where it falls by less than this share while the steps double."""
WITHIN = 0.05
"""Distance from a critical value, as a share of the largest one."""


class LinearPlateaus(Figure):
    """Loss of linear networks under gradient descent, one panel per configuration: runs
    stall near saddles, at the critical values ½Σs² (dotted), and leave them along negative
    curvature."""

    needs = ("training",)

    configurations: list[str] = Field([], examples=[["widths=5-4-3"]])
    """Labels of the configurations to show, one panel each; empty: the last two of the study."""
    runs: PositiveInt = 40
    """Maximum number of runs that are drawn."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        labels = self.configurations or [
            configuration.label for configuration in results.configurations[-2:]
        ]
        size = (WIDE if len(labels) > 1 else HALF, 3.0)
        figure, axes = plt.subplots(1, len(labels), figsize=size, squeeze=False, sharey=True)
        near = total = 0
        for axis, label in zip(axes[0], labels, strict=True):
            configuration = results.configuration(label)
            trained = results.at("training", label)
            levels = np.unique(np.round(_levels(configuration.settings.model), 9))
            for level in levels:
                axis.axhline(level, color="0.5", lw=0.7, ls=":", zorder=0)
            for run in range(min(self.runs, trained.sizes["run"])):
                axis.plot(
                    trained["trace_step"][1:], trained["trace_loss"][run, 1:],
                    color="C0", lw=0.6, alpha=0.5,
                )  # fmt: skip
            axis.set(xscale="log", xlabel="step")
            slow, at = _plateaus(trained, levels)
            near, total = near + at, total + slow
        low, high = axes[0, 0].get_ylim()
        axes[0, 0].set_ylim(low, min(high, 1.3 * levels.max()))
        at_ends(axes[0, -1], [(level, f"{level:g}", "0.35") for level in levels])
        axes[0, 0].set_ylabel("loss; dotted: critical values ½Σs²")
        lettered(axes[0], *map(configuration_name, labels))
        figure.suptitle(
            f"Where the loss stalls it is within {100 * WITHIN:.0f} % of a critical value:"
            f" {near} of {total} runs"
        )
        note(
            figure,
            f"the first {self.runs} runs",
            f"still: falls by less than {100 * STILL:.0f} % while steps double",
        )
        return figure


def _plateaus(trained, levels: np.ndarray) -> tuple[int, int]:
    """Runs whose loss stalls during descent, and those that do so near a critical value: on
    the longest stretch, by the ratio of its steps, over which the loss falls least."""
    step, losses = trained["trace_step"].values, trained["trace_loss"].values
    slow = near = 0
    for loss in losses:
        known = np.isfinite(loss) & (step > 0)
        x, y = step[known], loss[known]
        if len(x) < 2:
            continue
        later = np.interp(RATIO * x, x, y, right=np.nan)
        still = (later > (1 - STILL) * y) & (y > 1e-3 * levels.max())
        if still.any():
            slow += 1
            at = y[still][np.argmax(later[still] / y[still])]
            near += bool(np.abs(at - levels).min() < WITHIN * levels.max())
    return slow, near


def _levels(model) -> np.ndarray:
    values = model.modes[1]
    sizes = range(len(values) + 1)
    sets = [missed for size in sizes for missed in combinations(values, size)]
    return np.array([sum(s * s for s in missed) / 2 for missed in sets])


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_plateaus", LinearPlateaus)
