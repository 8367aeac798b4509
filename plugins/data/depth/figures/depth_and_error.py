"""Errors against depth."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import note

QUOTED = {0: 12.0, 2: 2.5, 4: 0.8}
"""The talk's table: percent of MNIST's test digits by the number of hidden layers."""


class DepthAndError(Figure):
    """Percentage of held-out digits that each kind of network misreads: runs (dots), mean and 99 %
    interval. On MNIST the quoted rates (LeCun et al. 1998) are dashes beside them."""

    needs = ("depth_and_error", "training")

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["depth_and_error"]
        figure, axis = plt.subplots(figsize=(5.0, 2.9))
        names = []
        for place, configuration in enumerate(results.configurations):
            settings = configuration.settings
            names.append(_name(settings.model))
            errors = 100 * (1 - results.last("test_accuracy", configuration.label))
            at = found.sel(configuration=configuration.label)
            value, low, high = (float(at[f"test_error{end}"]) for end in ("", "_low", "_high"))
            axis.plot(place - 0.15 + np.zeros(len(errors)), errors, ".", color="0.6", ms=3)
            axis.errorbar(
                place,
                value,
                yerr=[[value - low], [high - value]],
                fmt="o",
                ms=4,
                capsize=3,
                color="C0",
            )
            axis.annotate(
                f"{value:.1f}", (place, value), xytext=(7, 0), textcoords="offset points",
                fontsize=7, va="center",
            )  # fmt: skip
            quoted = QUOTED.get(len(settings.model.widths) - 2) if _connected(settings) else None
            if quoted is not None and settings.dataset.name == "mnist":
                axis.plot([place - 0.35, place + 0.35], 2 * [quoted], "--", color="k", lw=1)
                axis.annotate(
                    f"quoted {quoted}", (place - 0.35, quoted), xytext=(0, -3),
                    textcoords="offset points", fontsize=7, va="top",
                )  # fmt: skip
        axis.set_xlim(-0.5, len(names) - 0.3)
        axis.set_yscale("log")
        low, high = axis.get_ylim()
        # ticks beyond the data would widen the axis
        ticks = [tick for tick in (0.5, 1, 2, 3, 4, 5, 10, 20) if low <= tick <= high]
        axis.set_yticks(ticks, [str(tick) for tick in ticks])
        axis.minorticks_off()
        axis.set_xticks(range(len(names)), names, fontsize=8)
        axis.set_ylabel("held-out digits misread (%)")
        axis.set_title(_result(results, found), fontsize=9, loc="left")
        note(figure, "dots: networks, circles: means with 99 % intervals")
        return figure


def _connected(settings) -> bool:
    return settings.model.name == "mlp"


def _name(model) -> str:
    if model.name != "mlp":
        return f"{len(model.channels)} convolution" + "s" * (len(model.channels) > 1)
    hidden = len(model.widths) - 2
    if hidden == 0:
        return "linear" + ",\nsquared loss" * (model.loss_function.name == "squared")
    return f"{hidden} hidden\nlayers"


def _result(results, found) -> str:
    """What the intervals allow to say of two hidden layers beside none and four."""
    order = {}
    for place, one in enumerate(results.configurations):
        if one.settings.model.name == "mlp":
            order[len(one.settings.model.widths) - 2] = place
    none, two, four = (found.isel(configuration=order[depth]) for depth in (0, 2, 4))
    first = (
        "Hidden layers help" if _above(none, two) else "Two hidden layers and none do equally well"
    )
    if _above(two, four):
        return f"{first}, and four more than two"
    return (
        f"{first}; four err more than two"
        if _above(four, two)
        else (f"{first}; two and four can't be distinguished")
    )


def _above(one, other) -> bool:
    return float(one["test_error_low"]) > float(other["test_error_high"])


@nnflow.hookimpl
def nnflow_register(register):
    register("depth_and_error", DepthAndError)
