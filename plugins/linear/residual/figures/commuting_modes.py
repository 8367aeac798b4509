"""Descents that decouple into modes."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class CommutingModes(Figure):
    """Strengths of the modes of scalar descents, one colour for each mode, which the descent on
    the matrices follows to rounding (the largest distance stands in the title), from first
    weights that orthogonal matrices make diagonal; no two layers are alike."""

    needs = ("commuting_descent",)

    depths: tuple[int, ...] = (2, 4, 8)
    """Depths to show, where the study has them."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["commuting_descent"]
        first = {
            configuration.settings.model.depth: configuration.label
            for configuration in reversed(results.configurations)
        }
        shown = [depth for depth in self.depths if depth in first]
        size = (0.6 + 2.3 * len(shown), 2.7)
        figure, axes = plt.subplots(1, len(shown), figsize=size, sharey=True, squeeze=False)
        for axis, depth in zip(axes[0], shown, strict=True):
            at = found.sel(configuration=first[depth])
            for mode, way in enumerate(at["mode_strength"].values):
                if np.isfinite(way).all():
                    axis.plot(way, color=f"C{mode}", lw=1.2)
            error = float(at["decoupling_error"])
            axis.set_title(f"K = {depth}, error {error:.0e}".replace("e-", "e−"), fontsize="medium")
            axis.set_xlabel("step")
        axes[0, 0].set_ylabel("strength")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("commuting_modes", CommutingModes)
