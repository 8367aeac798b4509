"""Displacements between two times of networks that learn."""

from __future__ import annotations

import nnflow
from nnflow import Figure

from ....general.figures._page import note
from ._two_time_panel import ages, curves, told


class NetworkAging(Figure):
    """Squared displacement of the weights, relative to their squared norm, over a lag after waiting
    times t_w, in steps; one panel for each network. Without aging the lines would fall together.
    After Baity-Jesi et al. 2018, Fig. 3."""

    needs = ("two_time_displacement",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        aged = results["two_time_displacement"]
        count = len(results.configurations)
        figure, axes = plt.subplots(
            1, count, figsize=(5.0, 2.9), sharex=True, sharey=True, squeeze=False
        )
        for place, (axis, configuration) in enumerate(
            zip(axes[0], results.configurations, strict=True)
        ):
            curves(axis, aged, place)
            neurons = configuration.settings.model.widths[1]
            axis.set_title(f"({'abc'[place]}) {neurons} neurons", fontsize=8, loc="left")
            axis.set_xlabel("lag $t$, steps", fontsize=8)
        axes[0, 0].set_ylabel("relative squared displacement Δ", fontsize=8)
        waits = aged["waiting"].values
        aging = sum(ages(aged, place) for place in range(count))
        figure.suptitle(
            f"{aging} of {count} networks age: after {waits[-1] / waits[0]:.3g} times the wait the"
            f" squared displacement\nis {' and '.join(told(aged, n) for n in range(count))}"
            " times as large",
            fontsize=8,
        )
        note(figure, "99 % intervals over runs")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("network_aging", NetworkAging)
