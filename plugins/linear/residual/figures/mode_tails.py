"""How the weights of a single mode decay."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, at_ends, beside, lettered, note

LOWEST = 1e-6
"""The smallest weight that is shown."""


class ModeTails(Figure):
    """w(t) of dw/dt = w^{K−1}(r − w^K), w(0) = 1, for two targets r, one colour for each depth K;
    dashed lines are the laws: exact for r = 0, of late times for r < 0 (exponential for K = 2,
    a power of time for more layers)."""

    needs = ("identity_descent",)

    depths: tuple[int, ...] = (2, 3, 4, 8)
    """Depths to show, where the study has them."""
    targets: tuple[float, float] = (0.0, -0.5)
    """Targets r."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        flows = results["identity_descent"]
        first = {
            configuration.settings.model.depth: configuration.label
            for configuration in reversed(results.configurations)
        }
        figure, axes = plt.subplots(1, 2, figsize=(WIDE, 2.9), sharex=True, sharey=True)
        worst = 0.0
        for axis, target in zip(axes, self.targets, strict=True):
            ends = []
            for number, depth in enumerate(self.depths):
                if depth not in first:
                    continue
                at = flows.sel(configuration=first[depth])
                tail = at.sel(tail=target)
                time, weight = at["tail_time"].values, tail["tail_weight"].values
                axis.plot(time, weight, color=f"C{number}", lw=1.4)
                law = np.where(tail["tail_law"] > 0, tail["tail_law"], np.nan)
                axis.plot(time, law, color="0.2", lw=0.8, ls="--", zorder=3)
                power = _power(depth, target)
                if power:
                    slope = np.diff(np.log(weight[-2:]))[0] / np.diff(np.log(time[-2:]))[0]
                    worst = max(worst, abs(-power * slope - 1))
                text = f"K = {depth}{_law(depth, target)}"
                if weight[-1] > LOWEST:
                    ends.append((weight[-1], text, "0.2"))
                else:  # it leaves the panel on its way
                    place = np.flatnonzero(weight > 30 * LOWEST)[-1]
                    beside(axis, time[place], weight[place], f"{text}  ", va="center", ha="right")
            axis.set(xscale="log", yscale="log", xlabel="time t", ylim=(LOWEST, 4))
            axis.set_xlim(time[time > 0][0] / 2, time[-1])
            at_ends(axis, ends)
        axes[0].set_ylabel("weight w")
        lettered(axes, *(f"r = {target:g}".replace("-", "−") for target in self.targets))
        figure.suptitle(f"The last exponents are those of the laws within {100 * worst:.1g} %")
        note(figure, "dashed: the laws")
        return figure


def _power(depth: int, target: float) -> int:
    """p of the law t^(−1/p) of late times: dw/dt = −w^(2K−1) for r = 0, and for r < 0 about
    r w^(K−1), which is exponential (0) for K = 2."""
    return 2 * depth - 2 if target == 0 else depth - 2


def _law(depth: int, target: float) -> str:
    power = _power(depth, target)
    if power == 0:
        return ": exponential"
    return ": ∝ $t^{-1}$" if power == 1 else f": ∝ $t^{{-1/{power}}}$"


@nnflow.hookimpl
def nnflow_register(register):
    register("mode_tails", ModeTails)
