"""Both ends of the Hessian spectrum at one critical point."""

from __future__ import annotations

from typing import Literal

import numpy as np

import nnflow
from nnflow import Analysis, Table


class SpectrumEnds(Analysis):
    """Lowest and highest Hessian eigenvalue, and the condition number max|λ|/min|λ|.

    Intervals are the eigenvalues ± their residuals ‖Hv − λv‖, each of which holds an
    eigenvalue of H; the condition number's follow from them (up to ∞ where 0 is not
    excluded). It is NaN where the spectrum is known at its ends only.
    """

    needs = ("spectra",)
    columns = {
        "min_eigenvalue": "lowest eigenvalue of the Hessian",
        "max_eigenvalue": "highest eigenvalue of the Hessian",
        "condition": "condition number of the Hessian",
    }

    at: Literal["lowest", "most_frequent"] = "lowest"
    """The critical point: that of lowest loss, or that which most runs reached."""

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, spectra in results.each("spectra"):
            table.row(configuration, **self._row(spectra))
        return table.dataset()

    def _row(self, spectra) -> dict[str, tuple[float, float, float]]:
        """{column: (value, low, high)} of one configuration."""
        if not spectra["loss"].size:
            return dict.fromkeys(self.columns, (np.nan,) * 3)
        place = np.nan_to_num(spectra["loss"].values, nan=np.inf).argmin()
        if self.at == "most_frequent" and "count" in spectra:
            place = spectra["count"].values.argmax()
        values, residuals = (spectra[name].values[place] for name in ("eigenvalue", "residual"))
        first, last = spectra["mode"].values[[0, -1]]
        whole = "dense_eigenvalue" not in spectra
        # matrix-free, one end may not have been asked for
        low, high = first == 0, whole or last == -1
        return {
            "min_eigenvalue": _interval(values[0], residuals[0]) if low else (np.nan,) * 3,
            "max_eigenvalue": _interval(values[-1], residuals[-1]) if high else (np.nan,) * 3,
            "condition": _condition(values, residuals, whole),
        }


def _interval(value: float, residual: float) -> tuple[float, float, float]:
    return float(value), float(value - residual), float(value + residual)


def _condition(values, residuals, whole: bool) -> tuple[float, float, float]:
    """max|λ|/min|λ| and its ends, from all eigenvalues of a spectrum."""
    if not whole:
        return np.nan, np.nan, np.nan
    size = np.abs(values)
    least, most = np.maximum(size - residuals, 0), size + residuals
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = size.max() / size.min(), least.max() / most.min(), most.max() / least.min()
    return tuple(float(ratio) for ratio in ratios)


@nnflow.hookimpl
def nnflow_register(register):
    register("spectrum_ends", SpectrumEnds)
