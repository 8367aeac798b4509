"""Spectra of families, in a file that may hold those of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def of_families(spectra: xr.Dataset) -> xr.Dataset:
    """The spectra of families of critical points; none, (family 0, mode), where no run reached one
    and spectra.nc holds those at the ends of runs instead."""
    if "family" in spectra.dims:
        return spectra
    others = [name for name in spectra.coords if spectra[name].dims == ("run",) and name != "run"]
    none = spectra.drop_vars(others).isel(run=slice(0)).rename(run="family")
    return none.assign(count=("family", np.empty(0, dtype=np.int64), {"long_name": "runs"}))
