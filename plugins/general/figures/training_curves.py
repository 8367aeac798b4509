"""Loss and accuracy of an ensemble along its training."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._families import configuration_name, say_left_out, selected_configurations

ROWS = ("loss", "accuracy")
SAMPLES = {"": ("training", "-"), "test_": ("held out", "--")}


class TrainingCurves(Figure):
    """Loss and accuracy against training steps, one column per configuration: single runs (thin),
    their median (thick) and the range between the quartiles (band). Accuracies at the end
    are written into the panels. Points beyond an even selection are left out; the title says how
    many."""

    needs = ("training",)

    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of all."""
    most_configurations: PositiveInt = 5
    """At most so many configurations are selected."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        shown = selected_configurations(results, self.configurations, self.most_configurations)
        columns = [(label, results.at("training", label)) for label in shown]
        rows = [row for row in ROWS if f"trace_{row}" in columns[0][1]]
        size = (1 + 3 * len(columns), 0.6 + 2.2 * len(rows))
        figure, axes = plt.subplots(
            len(rows), len(columns), figsize=size, sharex="col", sharey="row", squeeze=False
        )
        for column, (label, trained) in enumerate(columns):
            for row, name in enumerate(rows):
                _curves(axes[row, column], trained, name)
            axes[0, column].set_title(configuration_name(label))
            axes[-1, column].set_xlabel("step")
        for row, name in enumerate(rows):
            axes[row, 0].set_ylabel(name)
        axes[0, 0].legend(loc="lower left")
        say_left_out(figure, results, shown)
        return figure


def _curves(axes, trained, name: str) -> None:
    """Curves of one quantity, on the training samples and on the held-out ones."""
    steps = trained["trace_step"].values
    for number, (prefix, (label, line)) in enumerate(SAMPLES.items()):
        if f"trace_{prefix}{name}" not in trained:
            continue
        values = trained[f"trace_{prefix}{name}"].values
        color = f"C{number}"
        low, median, high = _quartiles(values)
        axes.plot(steps, values.T, color=color, lw=0.4, alpha=0.4)
        axes.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        axes.plot(steps, median, line, color=color, lw=1.6, label=label)
        if name == "accuracy":
            last = f"{label}: {median[np.isfinite(median)][-1]:.1%}"
            place = {"transform": axes.transAxes, "ha": "right", "color": color}
            axes.text(0.98, 0.2 - 0.12 * number, last, **place)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(0, steps[-1])
    axes.set_yscale("log" if name == "loss" else "linear")


def _quartiles(values: np.ndarray) -> np.ndarray:
    """Quartiles over the runs that are still going, (3, step); NaN where none is."""
    quartiles = np.full((3, values.shape[1]), np.nan)
    going = np.isfinite(values).any(axis=0)
    quartiles[:, going] = np.nanpercentile(values[:, going], [25, 50, 75], axis=0)
    return quartiles


@nnflow.hookimpl
def nnflow_register(register):
    register("training_curves", TrainingCurves)
