"""Weights that a study file writes out."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator

from nnflow import UserError


def _check(values: dict[str, Any]) -> dict[str, Any]:
    for name, value in values.items():
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"{name}: expected numbers in nested lists of equal length") from None
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: expected finite numbers")
    return values


Values = Annotated[dict[str, Any], AfterValidator(_check)]
"""Numbers by weight, each a number or a nested list of them."""


def check_names(owner: str, values: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """UserError where a value is given for a weight that the model does not have."""
    for name in values:
        if name not in shapes:
            there = ", ".join(shapes)
            raise UserError(f"{owner}: the model has no weight {name!r} (it has: {there})")
