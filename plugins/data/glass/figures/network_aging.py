"""Displacements between two times of networks that learn."""

from __future__ import annotations

import nnflow
from nnflow import Figure

from ._two_time_panel import curves


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
            1, count, figsize=(5.0, 2.6), sharex=True, sharey=True, squeeze=False
        )
        for place, (axis, configuration) in enumerate(
            zip(axes[0], results.configurations, strict=True)
        ):
            curves(axis, aged, place)
            neurons = configuration.settings.model.widths[1]
            axis.set_title(f"({'abc'[place]}) {neurons} neurons", fontsize=8, loc="left")
            axis.set_xlabel("lag t, steps", fontsize=8)
        axes[0, 0].set_ylabel("relative displacement Δ", fontsize=8)
        first, last = aged["slowing"].values[[0, -1]]
        figure.suptitle(
            "Both networks age: after four times the wait the squared displacement\nis"
            f" {first:.2f} and {last:.2f} times as large",
            fontsize=8,
        )
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("network_aging", NetworkAging)
