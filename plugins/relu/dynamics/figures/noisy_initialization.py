"""How often noisy starts reach the teacher."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class NoisyInitialization(Figure):
    """Shares of runs that reach w* (filled), and that compute its function, w* or an image of it
    (open), with 99 % intervals, by the number K of neurons. Left: against the noise, in units of
    x₀, for y₀ = 0. Right: against x₀ − y₀ in units of the noise, all starts."""

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
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3.2), sharey=True)
        for axis, name, mask in (
            (axes[0], "noise", same & plain & (analysis["split"].values == 1)),
            (axes[1], "split_over_noise", same & plain),
        ):
            _shares(axis, analysis.isel(configuration=np.flatnonzero(mask)), name)
        axes[0].set(xlabel=r"noise (standard deviation / $x_0$)", ylabel="share of runs")
        axes[1].set(xlabel=r"$(x_0-y_0)$ / noise")
        runs = np.unique(analysis["runs"].values[plain])
        axes[0].set_title(f"{' or '.join(map(str, runs.astype(int)))} runs each", fontsize="medium")
        axes[0].legend(title="K", loc="lower left", fontsize="small")
        styles = (("w*", "-", None), ("w* or an image of it", ":", "white"))
        axes[1].legend(
            [
                plt.Line2D([], [], color="0.3", lw=0.9, ls=s, marker="o", ms=4, mfc=f)
                for _, s, f in styles
            ],
            [name for name, _, _ in styles],
            title="ends at",
            loc="lower right",
            fontsize="small",
        )
        axes[0].set_ylim(-0.03, 1.03)
        return figure


def _shares(axis, analysis, name: str) -> None:
    for number, count in enumerate(np.unique(analysis["neurons"].values)):
        same = np.flatnonzero(analysis["neurons"].values == count)
        part = analysis.isel(configuration=same).sortby(name)
        color, moved = f"C{number}", 1.05 ** (number - 1)
        across = part[name].values * moved
        for kind, fill, line in (("teacher_share", color, "-"), ("global_share", "white", ":")):
            middle = part[kind].values
            low, high = part[f"{kind}_low"].values, part[f"{kind}_high"].values
            axis.errorbar(
                across, middle, (middle - low, high - middle), fmt="o^sDv"[number % 5] + line,
                ms=4, lw=0.9, elinewidth=0.7, color=color, mfc=fill,
                label=f"{count:.0f}" if kind == "teacher_share" else None,
            )  # fmt: skip
    axis.set_xscale("log")


@nnflow.hookimpl
def nnflow_register(register):
    register("noisy_initialization", NoisyInitialization)
