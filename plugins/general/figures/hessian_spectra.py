"""Hessian spectra at the families of critical points."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._families import (
    chosen_configurations,
    chosen_families,
    configuration_name,
    family_colors,
    kind_of,
    loss_text,
    shown_of,
)

ACROSS = 3
"""Panels side by side."""
LINEAR = 1e-3
"""Eigenvalues below this are drawn on a linear scale where some are zero or negative."""


class HessianSpectra(Figure):
    """All eigenvalues of the Hessian in ascending order, one line per family of critical points
    (per run, where the study computes spectra of runs, or no run reached a critical point) and one
    panel per configuration. The length of a level stretch is the multiplicity of an eigenvalue.
    Black: the global minimum. Families beyond the most frequent ones and configurations beyond an
    even selection are left out; panel titles say how many."""

    needs = ("spectra",)

    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of those with families that are not
    global."""
    most_configurations: PositiveInt = 6
    """At most so many configurations are selected."""
    most_families: PositiveInt = 5
    """At most so many families per configuration, the most frequent ones."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        labels = chosen_configurations(results, self.configurations, self.most_configurations)
        across = min(ACROSS, len(labels))
        down = -(-len(labels) // across)
        figure, axes = plt.subplots(
            down, across, figsize=(max(2.9 * across, 4), 3.1 * down), squeeze=False
        )
        for axis in axes.flat[len(labels) :]:
            axis.set_axis_off()
        for axis, label in zip(axes.flat, labels, strict=False):
            self._panel(axis, results.at("spectra", label), label)
        figure.supxlabel("eigenvalues, counted from below")
        figure.supylabel("eigenvalue of the Hessian")
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
        axis.set_title(configuration_name(label) + shown_of(spectra, places))
        axis.grid(axis="y", linewidth=0.4)
        if len(places) == 0:
            axis.text(0.5, 0.5, "no critical point", ha="center", transform=axis.transAxes)
            return
        axis.legend(loc="upper left", fontsize=7.5, handlelength=1.2, borderaxespad=0.1)
        low, high = axis.get_ylim()
        axis.set_ylim(low, high * 2.2 ** len(places) if high > 0 else 0)


@nnflow.hookimpl
def nnflow_register(register):
    register("hessian_spectra", HessianSpectra)
