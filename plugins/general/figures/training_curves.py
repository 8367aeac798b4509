"""Loss and accuracy of an ensemble along its training."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._families import selected_configurations
from ._names import configuration_name
from ._page import HALF, WIDE, lettered, note

ROWS = ("loss", "accuracy")
SAMPLES = {"": ("training", "-"), "test_": ("held out", "--")}


class TrainingCurves(Figure):
    """Loss and accuracy against training steps, one column per configuration: single runs (thin),
    their median (thick) and the range between the quartiles (band). Accuracies at the end are
    written into the panels. Configurations beyond an even selection are left out, and the figure
    says how many."""

    needs = ("training",)

    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of all."""
    most_configurations: PositiveInt = 5
    """Maximum number of configurations that are selected."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        shown = selected_configurations(results, self.configurations, self.most_configurations)
        columns = [(label, results.at("training", label)) for label in shown]
        rows = [row for row in ROWS if f"trace_{row}" in columns[0][1]]
        width = WIDE if len(columns) > 1 else HALF
        size = (width, 0.9 + 1.9 * len(rows))
        figure, axes = plt.subplots(
            len(rows), len(columns), figsize=size, sharex="col", sharey="row", squeeze=False
        )
        for column, (_, trained) in enumerate(columns):
            for row, name in enumerate(rows):
                _curves(axes[row, column], trained, name)
            axes[-1, column].set_xlabel("step")
        lettered(axes.flat, *(configuration_name(label) for label, _ in columns))
        for row, name in enumerate(rows):
            axes[row, 0].set_ylabel(name)
        axes[0, 0].legend(loc="lower left")
        figure.suptitle(_told(columns))
        total = len(results.configurations)
        some = f"{len(columns)} of {total} configurations" if total > len(columns) else ""
        note(figure, "thick: median, bands: quartiles of the runs", "steps linear up to 1", some)
        return figure


def _told(columns) -> str:
    """The lowest and highest median of what is best known at the end."""
    for name, text in (("trace_test_accuracy", "held-out accuracy"), ("trace_accuracy", "accuracy"),
                       ("trace_loss", "loss")):  # fmt: skip
        known = [trained[name].values for _, trained in columns if name in trained]
        ends = [median[np.isfinite(median)][-1] for _, median, _ in map(_quartiles, known)
                if np.isfinite(median).any()]  # fmt: skip
        if ends and name != "trace_loss":
            low, high = (f"{100 * end:.1f} %" for end in (min(ends), max(ends)))
            return f"The median network ends at {low} to {high} {text}"
        if ends:
            return f"The median network ends at a loss of {min(ends):.2g} to {max(ends):.2g}"
    return "Training"


def _curves(axes, trained, name: str) -> None:
    """Curves of one quantity, on the training samples and on the held-out ones."""
    steps = trained["trace_step"].values
    for number, (prefix, (label, line)) in enumerate(SAMPLES.items()):
        if f"trace_{prefix}{name}" not in trained:
            continue
        values = trained[f"trace_{prefix}{name}"].values
        color = ("C0", "C3")[number]
        low, median, high = _quartiles(values)
        axes.plot(steps, values.T, color=color, lw=0.3, alpha=0.4)
        axes.fill_between(steps, low, high, color=color, alpha=0.2, lw=0)
        axes.plot(steps, median, line, color=color, lw=1.4, label=label)
        if name == "accuracy" and np.isfinite(median).any():
            last = f"{label}: {100 * median[np.isfinite(median)][-1]:.1f} %"
            place = {"transform": axes.transAxes, "ha": "right", "color": color}
            axes.text(0.98, 0.2 - 0.13 * number, last, fontsize=7.5, **place)
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
