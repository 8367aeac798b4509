"""How ends differ against the size of the network."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import ink, note

TABLE_1 = {25: 0.7616, 50: 0.6861, 100: 0.5983, 250: 0.5302, 500: 0.4081}
"""Correlations of Choromanska et al. 2015 by the size of the hidden layer, on MNIST 10 × 10."""


class LossVsSize(Figure):
    """(a) Held-out losses over the median of their size; the dashed line is where bad ends begin.
    (b) Relative spread of the losses and share of bad ends. (c) Correlation of training and
    held-out loss, and Table 1 of Choromanska et al. 2015 (other samples and training). Bars: 99 %
    intervals. (a) after Choromanska et al. 2015, Fig. 3."""

    needs = ("loss_vs_size", "training")

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["loss_vs_size"]
        bad = results.study.settings.analyses["loss_vs_size"].bad_above
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.9), width_ratios=[1.15, 1, 1])
        _histograms(axes[0], results, bad)
        _against_size(axes[1], found, "spread", "o", "-", "relative spread", None, 0.95)
        _against_size(axes[1], found, "bad_share", "s", "--", "bad ends", None, 1.05)
        axes[1].legend(fontsize=7, frameon=False, loc="upper right")
        axes[1].set_ylim(-0.02)
        axes[1].set_title("(b) spread and share of bad ends", fontsize=8, loc="left")
        _against_size(axes[2], found, "correlation", "o", "-", "ours", (2, -12))
        axes[2].plot(*zip(*TABLE_1.items(), strict=True), "D:", mfc="w", ms=4, lw=1, color="0.35")
        axes[2].annotate(
            "Choromanska et al.", (500, 0.4081), (3, -14), textcoords="offset points", ha="right",
            fontsize=7, color="0.35",
        )  # fmt: skip
        axes[2].set_ylim(0, 1.05)
        axes[2].set_title("(c) training and held-out loss", fontsize=8, loc="left")
        axes[2].set_ylabel("correlation", fontsize=8)
        ours = [int(size) for size in found["neurons"].values]
        for axis, sizes in ((axes[1], ours), (axes[2], [*ours[:2], *list(TABLE_1)[1::2], 500])):
            axis.set_xscale("log")
            axis.minorticks_off()
            axis.set_xticks(sizes, [str(size) for size in sizes])
            axis.set_xlabel("hidden neurons $n_1$", fontsize=8)
        for axis in axes:
            axis.tick_params(labelsize=7)
        first, last = (found.isel(configuration=place) for place in (0, -1))
        figure.suptitle(
            f"From {int(first['neurons'])} to {int(last['neurons'])} hidden neurons the spread of"
            f" the ends falls from {_told(first)} to {_told(last)}",
            fontsize=9,
        )
        note(figure, "99 % intervals", "(a) losses beyond 2 at its edge", "(c) their Table 1")
        return figure


def _told(part) -> str:
    value, low, high = (float(part[f"spread{end}"]) for end in ("", "_low", "_high"))
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _histograms(axis, results, bad: float) -> None:
    """Rows of histograms, the smallest network at the bottom."""
    edges = np.linspace(0.5, 2, 46)
    for place, configuration in enumerate(results.configurations):
        losses = results.last("test_loss", configuration.label)
        losses = losses[np.isfinite(losses)]
        counts, _ = np.histogram(np.clip(losses / np.median(losses), 0.5, 2), edges)
        axis.stairs(
            place + 0.85 * counts / counts.max(), edges, baseline=place, fill=True, color="C0",
            alpha=0.5 + 0.5 * (place % 2),
        )  # fmt: skip
        size = configuration.settings.model.widths[1]
        axis.annotate(f"$n_1={size}$", (1.98, place + 0.45), fontsize=7, ha="right", va="center")
    axis.axvline(bad, color="k", ls="--", lw=0.8)
    axis.annotate(
        "bad", (bad, len(results.configurations)), (3, -7), textcoords="offset points", fontsize=7
    )
    axis.set(xlim=(0.5, 2), ylim=(0, len(results.configurations) + 0.05), yticks=[])
    axis.set_xlabel("held-out loss / median", fontsize=8)
    axis.set_title("(a) ends of runs", fontsize=8, loc="left")


def _against_size(
    axis, found, name: str, marker: str, line: str, text: str, place, aside=1.0
) -> None:
    """A column with its intervals. place: of the text, from the first point, in points; None: the
    text is for a legend; aside: the factor by which points are shown beside their size."""
    sizes = aside * found["neurons"].values
    value, low, high = (found[f"{name}{end}"].values for end in ("", "_low", "_high"))
    bars = axis.errorbar(
        sizes, value, yerr=[value - low, high - value], fmt=marker, ls=line, ms=4, lw=1, capsize=2
    )
    if place is None:
        bars.set_label(text)
        return
    axis.annotate(
        text, (sizes[0], value[0]), place, textcoords="offset points", fontsize=7,
        color=ink(bars[0].get_color()),
    )  # fmt: skip


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_vs_size", LossVsSize)
