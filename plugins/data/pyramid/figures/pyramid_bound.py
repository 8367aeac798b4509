"""The gradient of pyramidal networks and its bound."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

LEAST = 1e-18
"""What is smaller is drawn at the edge."""


class PyramidBound(Figure):
    """Norm of the gradient in the first layer against its lower bound, at first weights and ends of
    all runs. No point may lie below the line."""

    needs = ("pyramid_bound",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["pyramid_bound"]
        bound, norm = (np.maximum(found[name].values, LEAST) for name in ("bound", "norm"))
        below = int((norm < bound * (1 - 1e-9) - 1e-13).sum())
        title = f"{below} of {len(norm)} points lie below the bound"
        figure, axis = plt.subplots(figsize=(3.3, 3.0))
        ends = np.array([LEAST, max(bound.max(), norm.max())])
        axis.fill_between(ends, ends, LEAST, color="0.9", lw=0)
        axis.plot(ends, ends, color="0.3", lw=0.8)
        axis.plot(bound, norm, ".", ms=2, color="C0", alpha=0.6, rasterized=True)
        axis.text(3e-6, 3e-13, "excluded", fontsize=8, color="0.3")
        edge = "bound 0:\nsingular or\nsaturated"
        axis.annotate(
            edge, (1.5 * LEAST, 1e-10), (18, 0), textcoords="offset points", va="center",
            fontsize=7, color="0.3", arrowprops={"arrowstyle": "->", "color": "0.3", "lw": 0.7},
        )  # fmt: skip
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_xlabel(
            r"$\sigma_N(\tilde X)\,\prod\sigma_{\min}(W_k^T)\,\min\sigma'\,\|E\|$", fontsize=8
        )
        axis.set_ylabel(r"$\|\partial L/\partial (W_1\, b_1)\|$", fontsize=8)
        axis.set_title(title, fontsize=9, loc="left")
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("pyramid_bound", PyramidBound)
