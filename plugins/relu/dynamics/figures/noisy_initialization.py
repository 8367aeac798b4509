"""How often noisy starts reach the teacher."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, lettered, note, percent

TICKS = (0.03, 0.1, 0.3, 1, 3, 10, 30)
LOOKS = {
    "teacher_share": ("w*", "o", "C0", "C0"),
    "global_share": ("w* or an image of it", "s", "C3", "white"),
}
"""Name, mark, colour and face of the shares."""


class NoisyInitialization(Figure):
    """Shares of runs that reach w* (filled), and that compute its function, w* or an image of it
    (open), by the number K of neurons, against the noise in units of x₀, for y₀ = 0; in the last
    panel against x₀ − y₀ in units of the noise, all starts of the K that has most. After Tian 2017,
    Fig. 9, upper row, and Conjecture 2."""

    needs = ("noisy_initialization",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["noisy_initialization"]
        same = (analysis["top_least"].values == 1) & (analysis["top_most"].values == 1)
        plain = np.array(
            [
                not getattr(configuration.settings.model, "top", None)
                for configuration in results.configurations
            ]
        )
        neurons, known = analysis["neurons"].values, same & plain
        widths, counts = np.unique(neurons[known], return_counts=True)
        upright = known & (analysis["split"].values == 1)
        figure, axes = plt.subplots(
            1, len(widths) + 1, figsize=(WIDE, 2.6), sharey=True, squeeze=False
        )
        parts = [(upright & (neurons == k), "noise", f"K = {k:.0f}, y₀ = 0") for k in widths]
        many = widths[counts.argmax()]
        parts.append((known & (neurons == many), "split_over_noise", f"K = {many:.0f}, all"))
        for axis, (mask, name, _) in zip(axes[0], parts, strict=True):
            _shares(axis, analysis.isel(configuration=np.flatnonzero(mask)).sortby(name), name)
            axis.set_xlabel("noise / x₀" if name == "noise" else "(x₀ − y₀) / noise")
        lettered(axes[0], *(title for *_, title in parts))
        axes[0, 0].set(ylabel="share of runs", ylim=(-0.03, 1.03))
        axes[0, 0].legend(title="ends at", loc="lower left", handletextpad=0.2)
        figure.suptitle(_told(analysis, upright, widths))
        runs = np.unique(analysis["runs"].values[plain]).astype(int)
        note(
            figure, f"{' or '.join(map(str, runs))} runs a point", "bars: 99 % intervals",
            "after Tian 2017, Fig. 9",
        )  # fmt: skip
        return figure


def _told(analysis, upright, widths) -> str:
    """What the least noise of each K does."""
    said = []
    for k in widths:
        mask = upright & (analysis["neurons"].values == k)
        part = analysis.isel(configuration=np.flatnonzero(mask)).sortby("noise")
        said.append(f"{percent(float(part['teacher_share'][-1]))} for K = {k:.0f}")
    return f"With the most noise, w* is reached by {', '.join(said)}"


def _shares(axis, part, name: str) -> None:
    for kind, (text, mark, color, face) in LOOKS.items():
        middle = part[kind].values
        low, high = part[f"{kind}_low"].values, part[f"{kind}_high"].values
        shift = 1.06 if kind == "teacher_share" else 1 / 1.06
        axis.errorbar(
            part[name].values * shift, middle, np.maximum((middle - low, high - middle), 0),
            fmt=mark, ms=4, elinewidth=0.7, capsize=1.5, color=color, mfc=face, label=text,
        )  # fmt: skip
    axis.set_xscale("log")
    low, high = part[name].values.min(), part[name].values.max()
    ticks = [tick for tick in TICKS if 0.7 * low <= tick <= 1.4 * high]
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


@nnflow.hookimpl
def nnflow_register(register):
    register("noisy_initialization", NoisyInitialization)
