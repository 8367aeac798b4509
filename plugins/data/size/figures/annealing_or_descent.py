"""Losses at the ends of annealing and of descent."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

STYLES = {
    "sgd": ("descent", "o", "C0", -0.12),
    "simulated_annealing": ("annealing", "^", "C1", 0.12),
}
"""Text, marker, colour and shift of each optimizer."""


class AnnealingOrDescent(Figure):
    """(a) Training and (b) held-out losses at the ends of all runs, by the number of hidden
    neurons: gradient descent (circles) beside simulated annealing (triangles); bars: means with
    99 % intervals. After Choromanska et al. 2015, Fig. 6."""

    needs = ("annealing_or_descent", "training")

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["annealing_or_descent"]
        figure, axes = plt.subplots(1, 2, figsize=(5.0, 2.5))
        sizes = sorted({int(size) for size in found["neurons"].values})
        for axis, column, text in zip(
            axes, ("train_loss", "test_loss"), ("(a) training", "(b) held out"), strict=True
        ):
            for place, configuration in enumerate(results.configurations):
                _ends(axis, results, found, place, configuration, column, sizes)
            axis.set_xticks(range(len(sizes)), [str(size) for size in sizes])
            axis.set_xlim(-0.6, len(sizes) - 0.4)
            axis.set_ylim(0)
            axis.tick_params(labelsize=7)
            axis.set_xlabel("hidden neurons", fontsize=8)
            axis.set_ylabel("loss", fontsize=8)
            axis.set_title(text, fontsize=8, loc="left")
        handles, texts = axes[1].get_legend_handles_labels()
        shown = dict(zip(texts, handles, strict=True))
        axes[1].legend(
            shown.values(), shown, fontsize=7, frameon=False, loc="upper right", handletextpad=0.2
        )
        less = [f"{value:+.2f}" for value in found["less_train"].values if np.isfinite(value)]
        figure.suptitle(
            f"Annealing's mean training loss less descent's: {', '.join(less)}\n"
            f"({', '.join(map(str, sizes))} hidden neurons)".replace("-", "−"),
            fontsize=8,
        )
        return figure


def _ends(axis, results, found, place: int, configuration, column: str, sizes) -> None:
    text, marker, color, shift = STYLES[configuration.settings.optimizer.name]
    at = sizes.index(configuration.settings.model.widths[1]) + shift
    if column == "train_loss":
        losses = results.at("training", configuration.label)["loss"].values
    else:
        losses = results.last("test_loss", configuration.label)
    axis.plot(
        np.full(len(losses), at), losses, marker, ms=3, mfc="none", mew=0.6, color=color, label=text
    )
    value, low, high = (float(found[f"{column}{end}"][place]) for end in ("", "_low", "_high"))
    axis.errorbar(
        at + shift, value, [[value - low], [high - value]], fmt=marker, ms=4, capsize=2, color=color
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("annealing_or_descent", AnnealingOrDescent)
