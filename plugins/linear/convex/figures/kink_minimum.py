"""The loss around a point that is a minimum because of a kink."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._names import proper
from ....general.figures._page import WIDE, beside, lettered, note, power

LINEAR = 1e-7
"""Rises within are on a linear scale."""
ZOOM = 0.1
"""Share of the slice that the inset shows."""
LOOKS = ("C0", "-"), ("C3", "--"), ("C1", ":")
"""Colour and dashes of each loss."""


class KinkMinimum(Figure):
    """The same point of the same network under losses with and without a kink. (a) The loss along
    the sampled direction in which one of them falls most; the inset shows its surroundings. (b)
    Least (dots) and median (thin) rise of the loss among random perturbations against their size;
    in the shaded part the loss falls, and the point is no minimum."""

    needs = ("kink_minimum",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["kink_minimum"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 3.0))
        inset = left.inset_axes((0.3, 0.5, 0.42, 0.4))
        ends, falls = [], {}
        for configuration in results.configurations:
            at = found.sel(configuration=configuration.label)
            if not np.isfinite(at["perturbations"]):
                continue
            name = proper(configuration.settings.model.loss_function.name)
            color, dashes = LOOKS[len(falls) % len(LOOKS)]
            step, rise = found["slice_step"].values, at["slice_rise"].values
            for axis in (left, inset):
                axis.plot(step, rise, dashes, color=color, label=name)
            least = at["least_rise"].values
            right.plot(found["radius"], least, "o" + dashes, ms=3.5, color=color, lw=1)
            right.plot(found["radius"], at["median_rise"], dashes, color=color, lw=0.7)
            ends.append((float(at["median_rise"][-1]), name, color))
            falls[name] = int((least < 0).sum())
        _zoom(inset, step)
        left.axhline(0, color="0.5", lw=0.7, zorder=0)
        left.set(xlabel="distance along the direction", ylabel="rise of the loss")
        left.legend(loc="lower left", bbox_to_anchor=(0, 0.14))
        right.set_xscale("log")
        right.set_yscale("symlog", linthresh=LINEAR)
        right.margins(x=0.08)
        right.set_yticks([-1e-2, -1e-4, -1e-6, 0, 1e-6, 1e-4, 1e-2, 1])
        bottom = min(10 * right.dataLim.ymin, -LINEAR)  # room below the lowest mark
        right.axhspan(bottom, 0, color="0.92", lw=0, zorder=-1)
        right.set_ylim(bottom=bottom)
        beside(right, found["radius"].values[0], 0.3 * bottom, "the loss falls")
        right.set(xlabel="largest change of a weight", ylabel="rise of the loss")
        lettered((left, right), "one direction", "random perturbations")
        at = [f"{n} of {found.sizes['radius']} sizes for {name}" for name, n in falls.items()]
        figure.suptitle(f"Some perturbation lowers the loss: at {', '.join(at)}")
        note(figure, "dots: least, thin: median", f"linear within ±{power(LINEAR)}")
        return figure


def _zoom(axis, step) -> None:
    """The middle of the slice, where the kink is."""
    near = ZOOM * np.abs(step).max()
    heights = np.concatenate([
        np.asarray(line.get_ydata())[np.abs(line.get_xdata()) <= near] for line in axis.lines
    ])  # fmt: skip
    low, high = heights.min(), np.quantile(heights, 0.6)
    axis.set(xlim=(-near, near), ylim=(low - 0.2 * (high - low), high), xticks=[0])
    axis.set_yticks([])
    axis.axhline(0, color="0.5", lw=0.6, zorder=0)


@nnflow.hookimpl
def nnflow_register(register):
    register("kink_minimum", KinkMinimum)
