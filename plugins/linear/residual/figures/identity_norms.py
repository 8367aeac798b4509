"""How near the identity layers can be, against depth."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, beside, lettered, note

TICKS = (0.05, 0.1, 0.2, 0.5, 1, 2, 5)
LOOKS = {"gradient descent": ("o", "C0"), "factorization": ("s", "C3")}
"""Mark and colour."""


class IdentityNorms(Figure):
    """(a) K max‖V_k‖ of Hardt and Ma's factorization of random matrices into K factors I + V_k,
    over its limit, one line for each matrix. (b) max‖V_k‖ of the global minimum that gradient
    descent reaches from V = 0, and of the factorization of the same target; lines are multiples of
    1/K. After Hardt & Ma 2017, Theorem 2.1."""

    needs = ("identity_factors", "residual_critical_points")

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 2.9))
        factors = results["identity_factors"]
        ratio = (factors["scaled_norm"] / factors["limit"]).values
        counts = factors["factors"].values
        left.plot(counts, ratio.T.reshape(len(counts), -1), color="C0", lw=0.7, alpha=0.6)
        left.axhline(1, color="0.3", lw=0.8, ls="--")
        left.set(xscale="log", xlabel="factors K", ylabel="K max‖V‖ over its limit")
        powers = counts[:: 2 if len(counts) > 6 else 1]
        left.set_xticks(powers, [f"{one:g}" for one in powers])
        left.minorticks_off()
        beside(left, counts[-1], 1, "limit", ha="right", va="bottom")
        end = float(np.nanmedian(ratio[..., -1]))
        _depths(right, results)
        lettered((left, right), "factorizations", "global minima")
        figure.suptitle(
            f"Layers come as near to the identity as 1/K: at {counts[-1]:,} factors K max‖V‖ is"
            f" {end:.3f} of its limit"
        )
        note(figure, "median over the matrices in the title", "after Hardt & Ma 2017")
        return figure


def _depths(axis, results) -> None:
    """Norms against depth, of the descents that differ in nothing but the depth."""
    shown = [
        configuration
        for configuration in results.configurations
        if set(configuration.parameters) <= {"depth", "runs"}
    ]
    depth = np.array([configuration.settings.model.depth for configuration in shown])
    labels = [configuration.label for configuration in shown]
    series = {
        "gradient descent": results["residual_critical_points"]["end_norm"],
        "factorization": results["identity_factors"]["factor_norm"],
    }
    for name, values in series.items():
        mark, color = LOOKS[name]
        values = values.sel(configuration=labels).values
        axis.plot(depth, values, mark, ms=4, color=color, label=name)
        if len(depth):
            axis.plot(depth, values[-1] * depth[-1] / depth, color=color, lw=0.8)
    if len(depth):
        beside(axis, depth[0], values[-1] * depth[-1] / depth[0], "  lines: ∝ 1/K", va="bottom")
    axis.set(xscale="log", yscale="log", xlabel="layers K", ylabel="max‖V‖ at a global minimum")
    axis.set_xticks(depth, [str(one) for one in depth], minor=False)
    ticks = [tick for tick in TICKS if axis.get_ylim()[0] <= tick <= axis.get_ylim()[1]]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()
    axis.legend(loc="lower left")


@nnflow.hookimpl
def nnflow_register(register):
    register("identity_norms", IdentityNorms)
