"""The loss of every run of an ensemble along its way."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, flag_mask

from ._families import configuration_name, selected_configurations

GLOBAL, MINIMUM, OTHER = "global", "spurious minimum", "neither"
STYLES = {
    GLOBAL: {"color": "0.6", "linewidth": 0.5, "alpha": 0.6, "zorder": 1},
    MINIMUM: {"color": "C3", "linewidth": 0.5, "alpha": 0.5, "zorder": 2},
    OTHER: {"color": "C0", "linewidth": 1.0, "alpha": 1.0, "zorder": 3},
}


class LossTrajectories(Figure):
    """Loss against step at one configuration of the study. Coloured runs end in spurious minima,
    grey ones at the infimum; where the model states no infimum, coloured ones end in minima, and
    none is called spurious; a dot marks where a run was decided. The dashed line is the loss below
    which runs are stopped as decided, so that the grey ones end there. Where there are more
    runs than the title says are shown, the first ones are."""

    needs = ("training", "critical_points")

    configuration: str | None = None
    """Label of the configuration; null: the one with most spurious runs."""
    most: PositiveInt = 200
    """At most so many runs are drawn."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        label = self._label(results)
        trained, ends = (results.at(name, label) for name in ("training", "critical_points"))
        groups = _groups(ends)
        figure, axis = plt.subplots(figsize=(5.2, 3.4))
        for name, mask in groups.items():
            shown = np.flatnonzero(mask[: self.most])
            unsure = name == MINIMUM and (flag_mask(ends["is_global"], "unknown") & mask).any()
            said = "minimum" if unsure else name
            _draw(axis, trained, shown, STYLES[name], f"{said} ({mask.sum()} runs)")
        threshold = results.configuration(label).settings.stop.loss
        if threshold is not None:
            axis.axhline(threshold, color="black", linewidth=0.7, linestyle="--")
        axis.set(xscale="log", yscale="log", xlabel="step", ylabel="loss")
        runs = ends.sizes["run"]
        axis.set_title(f"{configuration_name(label)}: {min(self.most, runs)} of {runs} runs")
        axis.legend(loc="upper right")
        return figure

    def _label(self, results) -> str:
        if self.configuration is not None:
            return selected_configurations(results, [self.configuration], 1)[0]
        counts = {p.label: _groups(e)[MINIMUM].sum() for p, e in results.each("critical_points")}
        return max(counts, key=counts.get)


def _groups(ends) -> dict[str, np.ndarray]:
    """Masks (run,) of the runs that are drawn alike."""
    elsewhere = ~flag_mask(ends["is_global"], "yes")
    minimum = flag_mask(ends["kind"], "minimum") & elsewhere
    groups = {GLOBAL: ~elsewhere, MINIMUM: minimum, OTHER: elsewhere & ~minimum}
    return {name: mask for name, mask in groups.items() if mask.any() or name == MINIMUM}


def _draw(axis, trained, rows: np.ndarray, style: dict, label: str) -> None:
    """The traces of some runs, from the first step on, each with its end."""
    steps = trained["trace_step"].values
    legend = {**style, "alpha": 1.0, "linewidth": 1.5}
    axis.plot([], [], label=label, **legend)
    for row in rows:
        end, last = int(trained["steps"].values[row]), float(trained["loss"].values[row])
        before = (steps >= 1) & (steps < end)
        loss = np.append(trained["trace_loss"].values[row, before], last)
        axis.plot(np.append(steps[before], max(end, 1)), loss, **style)
        axis.plot([max(end, 1)], [last], marker="o", markersize=1.5, **style)


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_trajectories", LossTrajectories)
