"""The loss around a point that is a minimum because of a kink."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class KinkMinimum(Figure):
    """The same point of the same network under losses with and without a kink. Left: the loss
    along the sampled direction in which one of them falls most. Right: least (lines with dots) and
    median (dashed) rise of the loss among random perturbations against their size; below 0 the
    point is no minimum."""

    needs = ("kink_minimum",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["kink_minimum"]
        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3))
        number = 0
        for configuration in results.configurations:
            at = found.sel(configuration=configuration.label)
            if not np.isfinite(at["perturbations"]):
                continue
            name = configuration.settings.model.loss_function.name.replace("_", " ")
            color = f"C{number}"
            left.plot(found["slice_step"], at["slice_rise"], color=color, label=name)
            right.plot(found["radius"], at["least_rise"], "o-", ms=4, color=color, lw=1)
            right.plot(found["radius"], at["median_rise"], color=color, lw=1, ls="--")
            number += 1
        for axis in (left, right):
            axis.axhline(0, color="0.5", lw=0.7, zorder=0)
            axis.set_ylabel("rise of the loss")
        left.set_xlabel("distance along the direction")
        left.legend(title="loss")
        right.set_xscale("log")
        right.set_yscale("symlog", linthresh=1e-7)
        right.set_yticks([-1e-2, -1e-4, -1e-6, 0, 1e-6, 1e-4, 1e-2, 1])
        right.set_xlabel("largest change of a weight")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("kink_minimum", KinkMinimum)
