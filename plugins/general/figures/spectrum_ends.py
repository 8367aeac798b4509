"""Both ends of Hessian spectra, and how well they are known."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._families import chosen_configurations, configuration_name, say_left_out
from ._legend import legend_below

ENDS = {"highest": "C0", "lowest": "C2"}
DENSE, DIFFERENCE = "dense Hessian", "difference from it"


class SpectrumEnds(Figure):
    """Highest and lowest Hessian eigenvalues, one column per configuration and one
    place per spectrum.
    Error bars (hidden by the dots where none is seen) and the dots of the bottom row are
    residuals ‖Hv − λv‖; circles and crosses compare with the dense Hessian. Points beyond an
    even selection are left out; the title says how many."""

    needs = ("spectra",)

    count: PositiveInt = 4
    """Eigenvalues shown at each end, at most."""
    configurations: list[str] = []
    """Labels of the configurations; none: an even selection of those with families that are not
    global."""
    most_configurations: PositiveInt = 5
    """At most so many configurations are selected."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        shown = chosen_configurations(results, self.configurations, self.most_configurations)
        columns = [(label, results.at("spectra", label)) for label in shown]
        size = (1 + 3 * len(columns), 6)
        figure, axes = plt.subplots(
            3, len(columns), figsize=size, sharex="col", sharey="row", squeeze=False
        )
        for column, (label, spectra) in enumerate(columns):
            self._column(axes[:, column], spectra)
            axes[0, column].set_title(configuration_name(label))
        for axis, label in zip(axes[:, 0], (*ENDS, "error"), strict=True):
            axis.set_ylabel(label if label == "error" else f"{label} eigenvalues")
        say_left_out(figure, results, shown)
        legend_below(figure, axes, columns=4, order=(*ENDS, DENSE, DIFFERENCE))
        return figure

    def _column(self, axes, spectra) -> None:
        """Highest, lowest and errors of the spectra of one configuration."""
        place = spectra["eigenvalue"].dims[0]
        parts = _ends(spectra["mode"].values, self.count)
        *values, errors = axes
        for axis, modes, (end, color) in zip(values, parts, ENDS.items(), strict=True):
            part = spectra.isel(mode=modes)
            x = _places(part, place)
            numbers = [part[name].values.ravel() for name in ("eigenvalue", "residual")]
            style = {"ms": 3, "color": color}
            axis.errorbar(x.ravel(), *numbers, fmt="o", lw=1, label=end, **style)
            axis.ticklabel_format(axis="y", style="sci", scilimits=(-2, 3), useMathText=True)
            errors.plot(x.ravel(), numbers[1], "o", **style)
            if "dense_eigenvalue" in part:
                _compare(axis, errors, x, part)
        values[-1].axhline(0, color="0.6", lw=0.8, zorder=0)
        if (spectra["residual"] > 0).any():  # else a logarithmic axis has no place for it
            errors.set_yscale("log")
        errors.set_xlabel(place)
        errors.xaxis.get_major_locator().set_params(integer=True)


def _ends(modes: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places of the highest and of the lowest eigenvalues, at most `count` each: of a whole
    spectrum, or of ends of which the upper one is numbered from −1."""
    below = modes < 0
    if below.any():
        return np.flatnonzero(below)[-count:], np.flatnonzero(~below)[:count]
    shown = min(count, max(1, len(modes) // 2))
    return np.arange(len(modes))[-shown:], np.arange(len(modes))[:shown]


def _places(part, place: str) -> np.ndarray:
    """Abscissae (spectrum, mode): the spectrum's number, its modes a little apart."""
    modes = part.sizes["mode"]
    return part[place].values[:, None] + (np.arange(modes) - (modes - 1) / 2) / (2 * modes)


def _compare(axis, errors, x: np.ndarray, part) -> None:
    """Circles around the dense Hessian's eigenvalues, crosses at the differences."""
    dense = part["dense_eigenvalue"].values
    known = np.isfinite(dense)
    axis.plot(x[known], dense[known], "o", ms=7, mfc="none", color="C1", label=DENSE)
    difference = np.abs(part["eigenvalue"].values - dense)[known]
    errors.plot(x[known], difference, "x", ms=5, color="C1", label=DIFFERENCE)


@nnflow.hookimpl
def nnflow_register(register):
    register("spectrum_ends", SpectrumEnds)
