"""How near the identity layers can be, against depth."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class IdentityNorms(Figure):
    """Left: K·max‖V_k‖ of Hardt and Ma's factorization of random matrices, over its limit, one
    line for each matrix. Right: max‖V_k‖ of the global minimum that gradient descent reaches from
    V = 0, and of the factorization of the same target; the lines are multiples of 1/K."""

    needs = ("identity_factors", "residual_critical_points")

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(7.2, 3.1))
        factors = results["identity_factors"]
        ratio = factors["scaled_norm"] / factors["limit"]
        left.plot(factors["factors"], ratio.T, color="C0", lw=0.8, alpha=0.6)
        left.axhline(1, color="0.3", lw=0.8, ls="--")
        left.set(xscale="log", xlabel="factors K", ylabel="K max‖V‖ / limit")
        _depths(right, results)
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
    for color, (name, values) in zip(("C1", "C0"), series.items(), strict=True):
        values = values.sel(configuration=labels).values
        axis.plot(depth, values, "o", ms=4, color=color, label=name)
        if len(depth):
            axis.plot(depth, values[-1] * depth[-1] / depth, color=color, lw=0.8)
    axis.set_xscale("log")
    axis.set_xticks(depth, [str(one) for one in depth], minor=False)
    axis.minorticks_off()
    axis.set(yscale="log", xlabel="layers K", ylabel="max‖V‖ at a global minimum")
    axis.legend()


@nnflow.hookimpl
def nnflow_register(register):
    register("identity_norms", IdentityNorms)
