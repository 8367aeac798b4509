"""Spectra of families, where a file may hold those of runs."""

import numpy as np
import xarray as xr

from nnflow.base.spectra import of_families

VALUES = [[-1.0, 2.0], [0.5, 3.0]]


def test_spectra_of_families_stay_as_they_are():
    spectra = xr.Dataset(
        {"eigenvalue": (("family", "mode"), VALUES), "count": ("family", [5, 1])},
        {"family": [0, 2], "kind": ("family", [1, 0])},
    )
    assert of_families(spectra) is spectra


def test_spectra_of_runs_are_those_of_no_family():
    """Coordinates of the runs go, those of modes stay."""
    spectra = xr.Dataset(
        {"eigenvalue": (("run", "mode"), VALUES), "loss": ("run", [1.0, 2.0])},
        {"run": [3, 7], "step": ("run", [10, 20]), "mode": [0, 1]},
    )
    found = of_families(spectra)
    assert dict(found.sizes) == {"family": 0, "mode": 2}
    assert found["count"].dtype == np.int64 and found["count"].attrs == {"long_name": "runs"}
    assert set(found.coords) == {"family", "mode"}
    assert found["loss"].dims == ("family",)
