"""How the weights of a single mode decay."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


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
        figure, axes = plt.subplots(1, 2, figsize=(7.2, 3), sharex=True, sharey=True)
        for axis, target in zip(axes, self.targets, strict=True):
            for number, depth in enumerate(self.depths):
                if depth not in first:
                    continue
                at = flows.sel(configuration=first[depth])
                tail = at.sel(tail=target)
                time = at["tail_time"].values
                style = {"color": f"C{number}", "lw": 1.2}
                axis.plot(time, tail["tail_weight"].values, label=f"K = {depth}", **style)
                law = np.where(tail["tail_law"] > 0, tail["tail_law"], np.nan)
                axis.plot(time, law, color="0.2", lw=0.8, ls="--", zorder=3)
            axis.set(xscale="log", yscale="log", xlabel="time t", ylim=(1e-6, 2))
            axis.set_title(f"r = {target:g}".replace("-", "−"), fontsize="medium")
        axes[0].set_ylabel("weight w")
        axes[0].legend()
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("mode_tails", ModeTails)
