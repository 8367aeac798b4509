"""Categorical variables: numbers with CF's flag_values and flag_meanings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray as xr


def flag_mask(variable: xr.DataArray, meaning: str) -> np.ndarray:
    """Where a categorical variable has the given meaning; bool, of the variable's shape.

    Raises ValueError where the variable knows no such meaning.
    """
    return variable.values == variable.attrs["flag_meanings"].split().index(meaning)
