"""All distinct Hessian eigenvalues of symmetric families against the width."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ....general.figures._legend import legend_below
from ....general.figures._page import WIDE, beside, lettered, note
from ._symmetric import families, label

COLORS = {"trivial": "black", "standard": "C4", "symmetric": "C3", "antisymmetric": "C1"}
LOOKS = {"trivial": "o", "standard": ".", "symmetric": "s", "antisymmetric": "^"}
BOUNDED = ("symmetric", "antisymmetric")
"""Representations to which almost all eigenvalues belong."""
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
    """Maximum number of families, of those with the fewest distinct eigenvalues."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        table = results["symmetric_families"]
        distinct = table["distinct_eigenvalues"].values
        shown = sorted(families(results, table), key=lambda s: distinct[s.rows].max())
        shown = [s for s in shown if len(s.k) > 1][: self.most]
        figure, axes = plt.subplots(1, len(shown), figsize=(WIDE, 3.1), sharey=True, squeeze=False)
        for axis, series in zip(axes[0], shown, strict=True):
            _panel(axis, table.isel(configuration=series.rows), series.k)
            axis.set_xlabel("neurons k")
        lettered(axes[0], *(label(series.name) for series in shown))
        axes[0, 0].set_ylabel("eigenvalue of the Hessian")
        order = [f"{kind}: {ORDERS[kind]} each" for kind in COLORS]
        legend_below(figure, axes, columns=4, order=order)
        figure.suptitle(_told(table, shown))
        note(
            figure,
            "linear scale below 0.1 (dotted)",
            "1, k, k²/2: dimensions",
            "after Arjevani & Field 2020",
        )
        return figure


def _told(table, shown) -> str:
    """How the largest eigenvalue of the first family, and the bounded ones, go with k."""
    parts = []
    for series in shown[:1]:
        at = table.isel(configuration=series.rows[[0, -1]])
        top = np.nanmax(at["eigenvalue"].values, axis=1)
        wide = np.isin(np.char.partition(at["part"].values.astype(str), " ")[..., 0], BOUNDED)
        most = np.nanmax(np.where(wide, at["eigenvalue"].values, np.nan))
        parts = [
            f"k from {series.k[0]} to {series.k[-1]:,}: the largest eigenvalue grows from"
            f" {top[0]:.1f} to {top[1]:,.0f}, the k² many stay below {np.ceil(10 * most) / 10:.1f}"
        ]
    return "".join(parts)


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
            k, values, color=COLORS[kind], lw=0.7, marker=LOOKS[kind], ms=2.4,
            mfc="white" if kind == "trivial" else COLORS[kind], mew=0.6,
            zorder=2 if kind == "trivial" else 3, label=f"{kind}: {ORDERS[kind]} each",
        )  # fmt: skip
    axis.set_xscale("log")
    axis.set_yscale("symlog", linthresh=LINEAR)
    top = np.nanmax(table["eigenvalue"].values, axis=1)
    middle = len(k) // 2
    beside(axis, k[middle], 1.5 * top[middle], r"$\propto k$ ", ha="right")
    axis.set_ylim(-0.4 * LINEAR, max(3 * top.max(), axis.get_ylim()[1]))
    axis.axhline(0, color="0.8", lw=0.8, zorder=0)
    axis.axhline(LINEAR, color="0.6", lw=0.6, ls=":", zorder=0)


@nnflow.hookimpl
def nnflow_register(register):
    register("family_spectra", FamilySpectra)
