"""Families of symmetric points that a reader may follow from width to width."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import xarray as xr

from nnflow.study.types import Study

DIGITS = 6
"""Of the numbers that the page holds."""


def members(study: Study, dataset: xr.Dataset) -> dict[str, Any]:
    """The names of the blocks of neurons, and each family with its members by rising width.

    dataset: over `configuration` the texts `family` and `kind`, the numbers `width` and `loss`;
    `eigenvalue` and `multiplicity` (configuration, mode); of the weight matrix, which is constant
    on blocks but for their diagonals, `block_size` and `own` (configuration, block), the entries on
    the diagonals, and `between` (configuration, block, input_block), those off them. A block of no
    neurons is left out.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for row in np.argsort(dataset["width"].values, kind="stable").tolist():
        one = dataset.isel(configuration=row)
        found.setdefault(str(one["family"].item()), []).append(_member(one))
    order = dict.fromkeys(dataset["family"].values.astype(str).tolist())
    return {
        "blocks": dataset["block"].values.astype(str).tolist(),
        "families": [{"name": name, "members": found[name]} for name in order],
    }


def _member(one: xr.Dataset) -> dict[str, Any]:
    values = one["eigenvalue"].values
    there = np.isfinite(values)
    return {
        "width": int(one["width"]),
        "kind": str(one["kind"].item()),
        "loss": _rounded(float(one["loss"])),
        "eigenvalues": [_rounded(value) for value in values[there].tolist()],
        "multiplicities": [int(count) for count in one["multiplicity"].values[there]],
        "sizes": [int(size) for size in one["block_size"].values],
        "own": [_rounded(value) for value in one["own"].values.tolist()],
        "between": [[_rounded(value) for value in row] for row in one["between"].values.tolist()],
    }


def _rounded(value: float) -> float | None:
    """JSON has no NaN."""
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
