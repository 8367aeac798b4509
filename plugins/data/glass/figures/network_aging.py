"""Displacements between two times of networks that learn."""

from __future__ import annotations

import nnflow
from nnflow import Figure

from ....general.figures._page import note
from ._two_time_panel import ages, curves, told

LETTERS = "abcdefghi"
HOW = ("by age", "divided by noise strength")


class NetworkAging(Figure):
    """A row for each network: squared displacement of the weights over the lag t after waiting
    times t_w, in steps. Left, relative to the squared norm: without aging the lines would fall
    together. Middle, the same against t/t_w: they do where age is the only time there is. Right,
    divided by the strength of the minibatches' noise over the longest lag: they do where motion is
    the noise's. Left after Baity-Jesi et al. 2018, Fig. 3."""

    needs = ("two_time_displacement", "noise_strength")

    def draw(self, results):
        import matplotlib.pyplot as plt

        aged, noise = results["two_time_displacement"], results["noise_strength"]
        names = {"noise_curve": "curve", "noise_wait": "waiting", "noise_lag": "lag"}
        noise = noise[list(names)].rename(names)
        count = len(results.configurations)
        figure, axes = plt.subplots(
            count, 3, figsize=(6.75, 1 + 1.9 * count), sharex="col", sharey="col", squeeze=False
        )
        for place, configuration in enumerate(results.configurations):
            neurons = configuration.settings.model.widths[1]
            curves(axes[place, 0], aged, place)
            curves(axes[place, 1], aged, place, by_age=True)
            curves(axes[place, 2], noise, place, numbers=(0, 2))
            for letter, axis, text in zip(
                LETTERS[3 * place :], axes[place], (f"{neurons} neurons", *HOW), strict=False
            ):
                axis.set_title(f"({letter}) {text}", fontsize=8, loc="left")
            axes[place, 1].get_legend().remove()
            axes[place, 2].set_xlim(axes[place, 0].get_xlim())
            axes[place, 0].set_ylabel("squared displacement", fontsize=8)
        for axis, text in zip(
            axes[-1], ("lag $t$, steps", "$t/t_w$", "lag $t$, steps"), strict=True
        ):
            axis.set_xlabel(text, fontsize=8)
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
