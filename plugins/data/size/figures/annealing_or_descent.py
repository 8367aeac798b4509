"""Losses at the ends of annealing and of descent."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import note, signed

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
        figure, axes = plt.subplots(1, 2, figsize=(5.0, 2.8))
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
        figure.suptitle(_told(found, sizes), fontsize=8)
        note(figure, "filled: means with 99 % intervals")
        return figure


def _told(found, sizes) -> str:
    """What annealing's mean training loss is less descent's, and whether that can be 0."""
    known = np.isfinite(found["less_train"].values)
    value, low, high = (found[f"less_train{end}"].values[known] for end in ("", "_low", "_high"))
    apart = int(((low > 0) | (high < 0)).sum())
    spans = [
        f"{signed(one, 2)} ± {half:.2f}" for one, half in zip(value, (high - low) / 2, strict=True)
    ]
    if apart == 0:
        said = "Annealing and descent can't be told apart"
    else:
        said = f"Annealing and descent differ at {apart} of {len(value)} sizes"
    neurons = " and ".join(map(str, sizes))
    return (
        f"{said}; annealing's mean training loss\n"
        f"less descent's: {' and '.join(spans)} at {neurons} neurons"
    )


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
