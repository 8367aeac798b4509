"""Hessian spectra at the families of critical points."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, flag_mask

from ._families import (
    chosen_configurations,
    chosen_families,
    family_colors,
    kind_of,
    loss_text,
    shown_of,
)
from ._names import configuration_name
from ._page import HALF, WIDE, lettered, note, signed

ACROSS = 3
"""Panels side by side."""
LINEAR = 1e-3
"""Eigenvalues below this are drawn on a linear scale where some are zero or negative."""


class HessianSpectra(Figure):
    """All eigenvalues of the Hessian in ascending order, one line per family of critical points
    (per run, where the study computes spectra of runs, or no run reached a critical point) and one
    panel per configuration. The length of a level stretch is the multiplicity of an eigenvalue.
    Black: the global minimum. Families beyond the most frequent ones and configurations beyond an
    even selection are left out, and the figure says how many."""

    needs = ("spectra",)

    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of those with families that are not
    global."""
    most_configurations: PositiveInt = 6
    """Maximum number of configurations that are selected."""
    most_families: PositiveInt = 5
    """Maximum number of families per configuration, the most frequent ones."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        labels = chosen_configurations(results, self.configurations, self.most_configurations)
        across = min(ACROSS, len(labels))
        down = -(-len(labels) // across)
        width = WIDE if across > 1 else HALF
        figure, axes = plt.subplots(
            down, across, figsize=(width, min(0.6 + 2.2 * down, 6.5)), sharey=True, squeeze=False
        )
        for axis in axes.flat[len(labels) :]:
            axis.set_axis_off()
        for axis, label in zip(axes.flat, labels, strict=False):
            self._panel(axis, results.at("spectra", label), label)
        tables = [results.at("spectra", label) for label in labels]
        shown = [shown_of(t, chosen_families(t, self.most_families)) for t in tables]
        names = [
            configuration_name(label) + more for label, more in zip(labels, shown, strict=True)
        ]
        lettered(axes.flat[: len(labels)], *names)
        for axis in axes[:, 0]:
            axis.set_ylabel("eigenvalue of the Hessian")
        for axis in axes[-1]:
            axis.set_xlabel("number, from below")
        low, high = axes[0, 0].get_ylim()
        if low > 0:  # room for the keys below the lowest step
            axes[0, 0].set_ylim(low * (low / high) ** 0.25, high)
        figure.suptitle(_told(tables))
        total = len(results.configurations)
        some = f"{len(labels)} of {total} configurations" if total > len(labels) else ""
        note(figure, "black: global minimum", "level stretches: multiplicities", some)
        return figure

    def _panel(self, axis, spectra, label: str) -> None:
        """One configuration."""
        places = chosen_families(spectra, self.most_families)
        values = spectra["eigenvalue"].values[places]
        for place, row, color in zip(places, values, family_colors(spectra, places), strict=True):
            text = (
                f"F = {loss_text(float(spectra['loss'].values[place]))} ({kind_of(spectra, place)})"
            )
            axis.stairs(row, baseline=None, color=color, linewidth=1.3, label=text)
        # on a face of a convex set there are fewer eigenvalues than weights, then NaN
        if np.min(values, initial=np.inf, where=np.isfinite(values)) < LINEAR:
            axis.set_yscale("symlog", linthresh=LINEAR)
        else:
            axis.set_yscale("log")
        axis.set_xlim(0, max(1, values.shape[1]))
        axis.grid(axis="y", linewidth=0.4)
        if len(places) == 0:
            axis.text(0.5, 0.5, "no critical point", ha="center", transform=axis.transAxes)
            return
        axis.legend(loc="lower right", fontsize=7, handlelength=1, borderaxespad=0.1)


def _told(tables) -> str:
    """The range of the lowest eigenvalues of minima, spurious and global."""
    minima = [flag_mask(table["kind"], "minimum") for table in tables]
    pairs = zip(tables, minima, strict=True)
    known = np.concatenate([*(table["eigenvalue"].values[these, 0] for table, these in pairs), []])
    known = known[np.isfinite(known)]
    if not known.size:
        return "Hessian spectra"
    return f"Lowest Hessian eigenvalues at minima: {signed(known.min())} to {signed(known.max())}"


@nnflow.hookimpl
def nnflow_register(register):
    register("hessian_spectra", HessianSpectra)
