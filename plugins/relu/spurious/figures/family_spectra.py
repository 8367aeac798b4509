"""All distinct Hessian eigenvalues of symmetric families against the width."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._symmetric import families, label

COLORS = {"trivial": "black", "standard": "C0", "symmetric": "C2", "antisymmetric": "C3"}
ORDERS = {"trivial": "1", "standard": "≈ k", "symmetric": "≈ k²/2", "antisymmetric": "≈ k²/2"}
"""Multiplicities."""
LINEAR = 0.1
"""Eigenvalues below this are drawn on a linear scale."""


class FamilySpectra(Figure):
    """Every distinct eigenvalue of the whole Hessian at the symmetric critical points, against
    the number k of neurons, one panel per family. Colours: the irreducible representation of
    S_(k−t) × S_t that an eigenvalue belongs to, and with it the order of its multiplicity. Almost
    all of the k² eigenvalues belong to the symmetric and antisymmetric ones and stay bounded; of
    order k grow linearly. Linear scale below 0.1."""

    needs = ("symmetric_families",)

    most: PositiveInt = 3
    """At most so many families, of those with the fewest distinct eigenvalues."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        table = results["symmetric_families"]
        distinct = table["distinct_eigenvalues"].values
        shown = sorted(families(results, table), key=lambda s: distinct[s.rows].max())
        shown = [s for s in shown if len(s.k) > 1][: self.most]
        figure, axes = plt.subplots(
            1, len(shown), figsize=(3.4 * len(shown) + 0.4, 3.6), sharey=True, squeeze=False
        )
        for axis, series in zip(axes[0], shown, strict=True):
            _panel(axis, table.isel(configuration=series.rows), series.k)
            axis.set_title(label(series.name), fontsize="medium")
            axis.set_xlabel("neurons k")
        axes[0, 0].set_ylabel("eigenvalue of the Hessian")
        handles = dict(
            pair
            for axis in axes[0]
            for pair in zip(*reversed(axis.get_legend_handles_labels()), strict=True)
        )
        figure.legend(handles.values(), handles, loc="outside lower center", ncols=4, fontsize=8)
        return figure


def _panel(axis, table, k) -> None:
    """One family."""
    parts = table["part"].values
    for part in dict.fromkeys(parts[parts != ""].tolist()):
        kind = "standard" if "×" in part else part.split()[0]
        rows = [
            np.sort(v[p == part]) for v, p in zip(table["eigenvalue"].values, parts, strict=True)
        ]
        most = max(len(row) for row in rows)
        values = np.array(
            [np.pad(row, (most - len(row), 0), constant_values=np.nan) for row in rows]
        )
        axis.plot(
            k, values, color=COLORS[kind], linewidth=0.9, marker=".", markersize=3,
            label=f"{kind}, multiplicity {ORDERS[kind]}",
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=LINEAR)
    axis.set_ylim(bottom=-0.4 * LINEAR)
    axis.axhline(0, color="0.8", linewidth=0.8, zorder=0)


@nnflow.hookimpl
def nnflow_register(register):
    register("family_spectra", FamilySpectra)
