"""Both ends of Hessian spectra, and how well they are known."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

LABELS = ("highest\neigenvalues", "lowest\neigenvalues", "error")


class SpectrumEnds(Figure):
    """Highest and lowest Hessian eigenvalues, one column per point and one place per spectrum.
    Error bars (smaller than the dots where none is seen) and the dots of the bottom row are
    residuals ‖Hv − λv‖; circles and crosses compare with the dense Hessian."""

    needs = ("spectra",)

    count: PositiveInt = 4
    """Eigenvalues shown at each end, at most."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        columns = list(results.each("spectra"))
        size = (1 + 3 * len(columns), 6)
        figure, axes = plt.subplots(
            3, len(columns), figsize=size, sharex="col", sharey="row", squeeze=False
        )
        for column, (point, spectra) in enumerate(columns):
            self._column(axes[:, column], spectra)
            axes[0, column].set_title(point.label.replace("=", " = "))
        for axis, label in zip(axes[:, 0], LABELS, strict=True):
            axis.set_ylabel(label)
        handles = {}
        for axis in axes.flat:
            handles |= dict(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
        figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=3)
        return figure

    def _column(self, axes, spectra) -> None:
        """Highest, lowest and errors of the spectra of one point."""
        place = spectra["eigenvalue"].dims[0]
        shown = min(self.count, max(1, spectra.sizes["mode"] // 2))
        ends = (slice(-shown, None), slice(None, shown))
        for axis, end in zip(axes, ends, strict=False):
            part = spectra.isel(mode=end)
            x = _places(part, place)
            axis.errorbar(
                x.ravel(), part["eigenvalue"].values.ravel(), part["residual"].values.ravel(),
                fmt="o", ms=3, lw=1, color="C0", label="matrix-free",
            )  # fmt: skip
            axes[2].plot(
                x.ravel(), part["residual"].values.ravel(), "o", ms=3, color="C0", label="residual"
            )
            if "dense_eigenvalue" in part:
                _compare(axis, axes[2], x, part)
        axes[1].axhline(0, color="0.6", lw=0.8, zorder=0)
        axes[2].set_yscale("log")
        axes[2].set_xlabel(place)
        axes[2].xaxis.get_major_locator().set_params(integer=True)


def _places(part, place: str) -> np.ndarray:
    """Abscissae (spectrum, mode): the spectrum's number, its modes a little apart."""
    apart = np.linspace(-0.25, 0.25, part.sizes["mode"]) if part.sizes["mode"] > 1 else [0.0]
    return part[place].values[:, None] + np.asarray(apart)


def _compare(axis, errors, x: np.ndarray, part) -> None:
    """Circles around the dense Hessian's eigenvalues, crosses at the differences."""
    dense = part["dense_eigenvalue"].values
    known = np.isfinite(dense)
    axis.plot(x[known], dense[known], "o", ms=7, mfc="none", color="C1", label="dense")
    difference = np.abs(part["eigenvalue"].values - dense)[known]
    errors.plot(x[known], difference, "x", ms=5, color="C1", label="|matrix-free − dense|")


@nnflow.hookimpl
def nnflow_register_figures(register):
    register("spectrum_ends", SpectrumEnds)
