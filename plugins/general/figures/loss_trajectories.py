"""The loss of every run of an ensemble along its way."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, flag_mask

from ._families import selected_configurations
from ._names import configuration_name
from ._page import HALF, at_ends, beside, counted, note

GLOBAL, MINIMUM, OTHER = "global", "spurious minimum", "neither"
STYLES = {
    GLOBAL: {"color": "0.6", "linewidth": 0.5, "alpha": 0.7},
    MINIMUM: {"color": "C3", "linewidth": 0.5, "alpha": 0.7},
    OTHER: {"color": "C0", "linewidth": 1.0, "alpha": 1.0},
}


class LossTrajectories(Figure):
    """Loss against step at one configuration of the study. Coloured runs end in spurious minima,
    grey ones at the infimum; where the model states no infimum, coloured ones end in minima, and
    none is called spurious; a dot marks where a run was decided. The dashed line is the loss below
    which runs are stopped as decided, so that the grey ones end there. Where there are more runs
    than are shown, the first ones are."""

    needs = ("training", "critical_points")

    configuration: str | None = None
    """Label of the configuration; null: the one with most spurious runs."""
    most: PositiveInt = 200
    """Maximum number of runs that are drawn."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        label = self._label(results)
        trained, ends = (results.at(name, label) for name in ("training", "critical_points"))
        groups = _groups(ends)
        figure, axis = plt.subplots(figsize=(HALF, 3.3))
        looks = {}
        for name, mask in groups.items():
            unsure = name == MINIMUM and (flag_mask(ends["is_global"], "unknown") & mask).any()
            said = "minimum" if unsure else name
            _key(axis, STYLES[name], f"{said} ({counted(int(mask.sum()), 'run')})")
            looks.update(dict.fromkeys(np.flatnonzero(mask[: self.most]).tolist(), STYLES[name]))
        # in random order: none of the groups hides the others
        for row in np.random.default_rng(0).permutation(list(looks)):
            _draw(axis, trained, int(row), looks[int(row)])
        axis.set(xscale="log", yscale="log", xlabel="step", ylabel="loss")
        threshold = results.configuration(label).settings.stop.loss
        if threshold is not None:
            axis.axhline(threshold, color="black", lw=0.7, ls="--")
            text = f"decided below {threshold:g}"
            beside(axis, 0.02, threshold, text, transform=axis.get_yaxis_transform(), va="bottom")
        axis.legend(loc="upper right")
        spurious, runs = int(groups[MINIMUM].sum()), ends.sizes["run"]
        losses = ends["loss"].values[groups[MINIMUM]]
        levels = np.unique(np.round(losses[np.isfinite(losses)], 4))
        if 0 < len(levels) < 4:
            found = [int((np.round(losses, 4) == level).sum()) for level in levels]
            at_ends(axis, [(level, f"{level:g}: {counted(n, 'run')}", "C3")
                           for level, n in zip(levels, found, strict=True)])  # fmt: skip
        few = ", ".join(f"{level:g}" for level in levels) if 0 < len(levels) < 4 else ""
        figure.suptitle(
            f"{configuration_name(label)}: {spurious} of {runs} runs end above"
            + (f", at loss {few}" if few else "")
            if spurious
            else f"{configuration_name(label)}: no run ends in a minimum above"
        )
        note(figure, f"{min(self.most, runs)} of {runs} runs", "dots: where a run was decided")
        return figure

    def _label(self, results) -> str:
        if self.configuration is not None:
            return selected_configurations(results, [self.configuration], 1)[0]
        counts = {p.label: _groups(e)[MINIMUM].sum() for p, e in results.each("critical_points")}
        return max(counts, key=counts.get)


def _groups(ends) -> dict[str, np.ndarray]:
    """Masks (run,) of the runs that are drawn in the same style."""
    elsewhere = ~flag_mask(ends["is_global"], "yes")
    minimum = flag_mask(ends["kind"], "minimum") & elsewhere
    groups = {GLOBAL: ~elsewhere, MINIMUM: minimum, OTHER: elsewhere & ~minimum}
    return {name: mask for name, mask in groups.items() if mask.any() or name == MINIMUM}


def _key(axis, style: dict, label: str) -> None:
    axis.plot([], [], label=label, **{**style, "alpha": 1.0, "linewidth": 1.5})


def _draw(axis, trained, row: int, style: dict) -> None:
    """The trace of a run, from the first step on, with its end."""
    steps = trained["trace_step"].values
    end, last = int(trained["steps"].values[row]), float(trained["loss"].values[row])
    before = (steps >= 1) & (steps < end)
    loss = np.append(trained["trace_loss"].values[row, before], last)
    axis.plot(np.append(steps[before], max(end, 1)), loss, **style)
    axis.plot([max(end, 1)], [last], marker="o", markersize=1.5, **style)


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_trajectories", LossTrajectories)
