"""What a file of results says of itself, as the CF conventions have it, so that programs that know
nothing of nnflow can tell what they read.

Source: Eaton et al., NetCDF Climate and Forecast (CF) Metadata Conventions 1.11,
https://cfconventions.org.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

CONVENTIONS = "CF-1.11"
DIMENSIONLESS = "1"
"""Units of what has none."""
NUMBERS = "iufb"
"""Kinds of types that have units; texts have none, and times bring their own."""


def variable_attributes(name: str, dtype: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """A variable's attributes with those that CF asks for, where they are not given: `long_name`,
    which is its name in words then, and of numbers `units`."""
    told = {"long_name": name.replace("_", " "), **given}
    return {"units": DIMENSIONLESS, **told} if np.dtype(dtype).kind in NUMBERS else told
