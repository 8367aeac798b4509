"""Figures of what a landscape at a point gives: `dataset.nnflow.plot()`."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry


@xr.register_dataset_accessor("nnflow")
class Drawing:
    """`dataset.nnflow.plot()` draws a dataset that `nnflow.Landscape` gave."""

    def __init__(self, dataset: xr.Dataset) -> None:
        self._dataset = dataset

    def plot(self, axes: Any = None) -> Any:
        """Draw it into the axes, or into a new figure; the axes. Raises UserError where the dataset
        is none of a Landscape."""
        import matplotlib.pyplot as plt

        draw = _DRAWN.get(self._dataset.attrs.get("what", ""))
        if draw is None:
            raise UserError("plot: this dataset is none that nnflow.Landscape gave")
        if axes is None:
            _, axes = plt.subplots(layout="constrained")
        draw(axes, self._dataset)
        return axes


def _spectrum(axes: Any, found: xr.Dataset) -> None:
    sure = found["converged"].values
    for chosen, fill, label in ((sure, "full", "converged"), (~sure, "none", "not converged")):
        if chosen.any():
            part = found.isel(mode=chosen)
            axes.errorbar(
                part["mode"],
                part["eigenvalue"],
                part["residual"],
                fmt="o",
                fillstyle=fill,
                label=label,
                color="C0",
            )
    axes.axhline(0, color="0.7", linewidth=0.8)
    if not sure.all():
        axes.legend(frameon=False)
    axes.set(xlabel=found["mode"].attrs["long_name"], ylabel=_label(found["eigenvalue"]))


def _density(axes: Any, found: xr.Dataset) -> None:
    grid = found["grid"].values
    low, high = found["density_low"].values, found["density_high"].values
    if np.isfinite(high).all():
        axes.fill_between(grid, low, high, alpha=0.3, linewidth=0)
    axes.plot(grid, found["density"])
    axes.set_yscale("log")
    axes.set_ylim(bottom=max(1e-6 * float(found["density"].max()), 1e-300))
    axes.set(xlabel=_label(found["grid"]), ylabel=_label(found["density"]))


def _plane(axes: Any, found: xr.Dataset) -> None:
    registry().get("figures", "loss_planes").panel(axes, found, found.attrs["along"])


def _trace(axes: Any, found: xr.Dataset) -> None:
    middle, low, high = (float(found[n]) for n in ("trace", "trace_low", "trace_high"))
    axes.errorbar([0], [middle], [[middle - low], [high - middle]], fmt="o", capsize=4)
    axes.set(xticks=[], ylabel=_label(found["trace"]))
    axes.set_xlabel(f"{int(found['products'])} products")


def _classification(axes: Any, found: xr.Dataset) -> None:
    kinds = found["kind"].attrs["flag_meanings"].split()
    parts = [
        found[n].values.ravel() for n in ("eigenvalue", "min_eigenvalue", "max_eigenvalue")
        if n in found
    ]  # fmt: skip
    values = np.unique(np.concatenate(parts))
    axes.plot(values, np.zeros_like(values), "|", markersize=20)
    axes.axvline(0, color="0.7", linewidth=0.8)
    axes.set(yticks=[], xlabel="eigenvalue of the Hessian (loss per squared weight)")
    axes.set_title(
        f"{kinds[int(found['kind'])]}, loss {float(found['loss']):.4g},"
        f" gradient {float(found['gradient_norm']):.2g}"
    )


def _label(variable: xr.DataArray) -> str:
    return f"{variable.attrs['long_name']} ({variable.attrs['units']})"


_DRAWN = {
    "spectrum": _spectrum,
    "density": _density,
    "trace": _trace,
    "plane": _plane,
    "classification": _classification,
}
