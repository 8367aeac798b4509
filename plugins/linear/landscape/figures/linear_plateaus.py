"""Plateaus of the loss at the critical values."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Figure


class LinearPlateaus(Figure):
    """Loss of linear networks under gradient descent, one panel per configuration: runs
    stand still near
    saddles, at the critical values ½Σs² (dotted), and leave them along negative curvature."""

    needs = ("training",)

    configurations: list[str] = Field([], examples=[["widths=5-4-3"]])
    """Labels of the configurations to show, one panel each; empty: the last two of the study."""
    runs: PositiveInt = 40
    """At most so many runs are drawn."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        labels = self.configurations or [
            configuration.label for configuration in results.configurations[-2:]
        ]
        size = (3.4 * len(labels) + 0.4, 3.3)
        figure, axes = plt.subplots(1, len(labels), figsize=size, squeeze=False, sharey=True)
        for axis, label in zip(axes[0], labels, strict=True):
            configuration = results.configuration(label)
            trained = results.at("training", label)
            for level in _levels(configuration.settings.model):
                axis.axhline(level, color="0.6", lw=0.7, ls=":", zorder=0)
            for run in range(min(self.runs, trained.sizes["run"])):
                axis.plot(
                    trained["trace_step"][1:], trained["trace_loss"][run, 1:],
                    color=f"C{run % 10}", lw=0.7, alpha=0.8,
                )  # fmt: skip
            axis.set(xscale="log", xlabel="step")
            axis.set_title(label.replace("=", " ").replace(",", ", "), fontsize="medium")
        axes[0, 0].set_ylabel("loss")
        return figure


def _levels(model) -> np.ndarray:
    values = model.modes[1]
    sizes = range(len(values) + 1)
    sets = [missed for size in sizes for missed in combinations(values, size)]
    return np.array([sum(s * s for s in missed) / 2 for missed in sets])


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_plateaus", LinearPlateaus)
