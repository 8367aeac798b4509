"""The weight matrix of each family as a heat map."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, UserError

from ....general.figures._families import (
    chosen_configurations,
    chosen_families,
    configuration_name,
    kind_of,
    loss_text,
    shown_of,
)


class FamilyWeights(Figure):
    """Weight matrices of the families of critical points, one row of maps per configuration, with
    rows and columns in canonical order and one colour scale for all. λ is the lowest eigenvalue of
    the Hessian. Families beyond the most frequent ones and configurations beyond an even selection
    are left out; the first title of a row says how many."""

    needs = ("spectra",)

    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of those with families that are not
    global."""
    most_configurations: PositiveInt = 4
    """At most so many configurations are selected."""
    most_families: PositiveInt = 4
    """At most so many families per configuration, the most frequent ones."""

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        labels = chosen_configurations(results, self.configurations, self.most_configurations)
        spectra = [results.at("spectra", label) for label in labels]
        shown = [chosen_families(table, self.most_families) for table in spectra]
        name, (rows_name, columns_name) = _matrix(results, spectra[0])
        panels = list(zip(spectra, shown, strict=True))
        reach = max(np.abs(table[name].values[places]).max(initial=0) for table, places in panels)
        across = max(1, *(len(places) for places in shown))
        figure, axes = plt.subplots(
            len(labels), across, figsize=(2.1 * across + 0.9, 2.45 * len(labels)), squeeze=False
        )
        for axis in axes.flat:
            axis.set_axis_off()
        for row, label, table, places in zip(axes, labels, spectra, shown, strict=True):
            for axis, place in zip(row, places, strict=False):
                axis.set_axis_on()
                image = axis.imshow(
                    table[name].values[place], cmap="RdBu_r", vmin=-reach, vmax=reach
                )
                axis.set_title(_title(table, place), fontsize=8)
                for side in (axis.xaxis, axis.yaxis):
                    side.set_major_locator(MaxNLocator(4, integer=True))
                axis.tick_params(labelsize=7)
                axis.set_xlabel(columns_name, fontsize=8)
            left = shown_of(table, places).replace(", ", "\n", 1)
            row[0].set_ylabel(f"{configuration_name(label)}{left}\n{rows_name}", fontsize=8)
        figure.colorbar(image, ax=axes, shrink=0.5, label="weight", aspect=25)
        return figure


def _title(spectra, place: int) -> str:
    loss = loss_text(float(spectra["loss"].values[place]))
    lowest = float(spectra["eigenvalue"].values[place, 0])
    runs = f", {int(spectra['count'].values[place])} runs" if "count" in spectra else ""
    return (
        f"{kind_of(spectra, place)}{runs}"
        f"\nF = {loss}, λ = {'0' if abs(lowest) < 5e-5 else f'{lowest:.4f}'}"
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
