"""What splitting a neuron does to the symmetric critical points."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ._symmetric import families, label


class SplitMinima(Figure):
    """Splitting a neuron of a symmetric critical point makes a saddle. Left: the lowest
    eigenvalue of H_ii − ½I, times −1, against the number k of neurons, for a neuron along its
    teacher (solid) and a turned one (dashed): positive throughout. Right: the lowest eigenvalue
    of the whole Hessian after each split, n = k + 1 and k + 2, against the second variation along
    the split, an upper bound; on the line the two are equal."""

    needs = ("symmetric_families", "split_minima")

    def draw(self, results):
        import matplotlib.pyplot as plt

        table, split = results["symmetric_families"], results["split_minima"]
        figure, (curvature, dense) = plt.subplots(1, 2, figsize=(8.4, 3.7))
        for series in families(results, table):
            for name, dashes in (("split_along", "-"), ("split_turned", "--")):
                values = -split[name].values[series.rows]
                text = label(series.name) if name == "split_turned" else None
                curvature.plot(series.k, values, dashes, color=series.color, linewidth=1,
                               marker=series.marker, markersize=3, label=text)  # fmt: skip
        curvature.set_xscale("log")
        curvature.set_yscale("log")
        curvature.set_xlabel("neurons k")
        curvature.set_ylabel(r"$-\lambda$ of $H_{ii} - \frac{1}{2}I$")
        more = split["students"].values - _widths(results, split)
        for count, style in ((1, {"marker": "o"}), (2, {"marker": "x", "linewidth": 0.8})):
            some = more == count
            dense.scatter(
                -split["second_variation"].values[some], -split["lowest"].values[some],
                s=14, alpha=0.7, color=f"C{count - 1}", label=f"n = k + {count}", **style,
            )  # fmt: skip
        limits = [(-split["lowest"].values).min() * 0.8, (-split["lowest"].values).max() * 1.2]
        dense.plot(limits, limits, color="0.5", linewidth=0.8, zorder=0)
        dense.set_xscale("log")
        dense.set_yscale("log")
        dense.set_xlabel(r"$-\lambda$ by the second variation")
        dense.set_ylabel(r"$-\lambda$ of the whole Hessian")
        dense.legend(loc="upper left", title=f"{len(more)} splits")
        handles, labels = curvature.get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=6, fontsize=8)
        return figure


def _widths(results, split) -> np.ndarray:
    """k of each case."""
    k = {
        configuration.label: configuration.settings.model.k
        for configuration in results.configurations
    }
    return np.array([k[where] for where in split["where"].values.tolist()])


@nnflow.hookimpl
def nnflow_register(register):
    register("split_minima", SplitMinima)
