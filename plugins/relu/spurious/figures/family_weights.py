"""The weight matrix of each family as a heat map."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, UserError, flag_mask

from ....general.figures._families import (
    chosen_configurations,
    chosen_families,
    kind_of,
    loss_text,
    shown_of,
)
from ....general.figures._names import configuration_name
from ....general.figures._page import HALF, WIDE, counted, note, signed

TALLEST = 6.5
"""Inches."""


class FamilyWeights(Figure):
    """Weight matrices of the families of critical points, one row of maps per configuration, with
    rows and columns in canonical order and one colour scale for all; a stroke through an entry says
    that it is negative. λ is the lowest eigenvalue of the Hessian. Families beyond the most
    frequent ones and configurations beyond an even selection are left out."""

    needs = ("spectra",)

    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of those with families that are not
    global."""
    most_configurations: PositiveInt = 4
    """Maximum number of configurations that are selected."""
    most_families: PositiveInt = 4
    """Maximum number of families per configuration, the most frequent ones."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        labels = chosen_configurations(results, self.configurations, self.most_configurations)
        spectra = [results.at("spectra", label) for label in labels]
        shown = [chosen_families(table, self.most_families) for table in spectra]
        name, axis_names = _matrix(results, spectra[0])
        panels = list(zip(spectra, shown, strict=True))
        reach = max(np.abs(table[name].values[places]).max(initial=0) for table, places in panels)
        across = max(1, *(len(places) for places in shown))
        width = WIDE if across > 2 else HALF
        height = 0.6 + len(labels) * (0.6 + 0.85 * (width - 1) / across)
        figure, axes = plt.subplots(
            len(labels), across, figsize=(width, min(height, TALLEST)), squeeze=False
        )
        for axis in axes.flat:
            axis.set_axis_off()
        letters = iter("abcdefghijklmnopqrstuvwxyz")
        for row, label, table, places in zip(axes, labels, spectra, shown, strict=True):
            for axis, place in zip(row, places, strict=False):
                axis.set_axis_on()
                image = _map(axis, table[name].values[place], reach)
                axis.set_title(f"({next(letters)}) {_title(table, place)}", fontsize=7, loc="left")
                axis.set_xlabel(axis_names[1])
            left = f"{configuration_name(label)}{shown_of(table, places)}".replace(", ", "\n")
            row[0].set_ylabel(f"{left}\n{axis_names[0]}" if len(labels) > 1 else axis_names[0])
        figure.colorbar(image, ax=axes, shrink=0.7, label="weight (stroke: negative)", aspect=25)
        kinds = sum((~flag_mask(t["is_global"], "yes"))[p].sum() for t, p in panels)
        what = f"{configuration_name(labels[0])}: " if len(labels) == 1 else ""
        figure.suptitle(f"{what}{counted(int(kinds), 'critical point')} beside the global minimum")
        note(figure, "λ: lowest eigenvalue of the Hessian")
        return figure


def _map(axis, weights: np.ndarray, reach: float):
    """A matrix in colours, with lines through its negative entries; indices from 1."""
    from matplotlib.ticker import MaxNLocator

    rows, columns = weights.shape
    edges = (0.5, columns + 0.5, rows + 0.5, 0.5)
    image = axis.imshow(weights, cmap="RdBu_r", vmin=-reach, vmax=reach, extent=edges)
    for row, column in zip(*np.nonzero(weights < -0.02 * reach), strict=True):
        ends = np.array([0.7, 1.3])
        axis.plot(column + ends, row + ends[::-1], color="0.25", lw=0.5)
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(MaxNLocator(4, integer=True))
    axis.set(xlim=edges[:2], ylim=edges[2:])
    return image


def _title(spectra, place: int) -> str:
    loss = loss_text(float(spectra["loss"].values[place]))
    lowest = float(spectra["eigenvalue"].values[place, 0])
    runs = f", {counted(int(spectra['count'].values[place]), 'run')}" if "count" in spectra else ""
    return (
        f"{kind_of(spectra, place)}{runs}"
        f"\nF = {loss}, λ = {signed(lowest) if abs(lowest) >= 5e-5 else '0'}"
    )


def _matrix(results, spectra) -> tuple[str, tuple[str, str]]:
    """Name and axes of the model's only weight, a matrix."""
    shapes = results.configurations[0].settings.model.shapes()
    ((name, shape), *others) = shapes.items()
    if others or len(shape) != 2:
        raise UserError(
            f"{results.study.file}: figures: family_weights needs a model whose only weight is a"
            f" matrix (this one has: {', '.join(shapes)})"
        )
    return name, spectra[name].dims[1:]


@nnflow.hookimpl
def nnflow_register(register):
    register("family_weights", FamilyWeights)
