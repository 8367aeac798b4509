"""Losses of two weights that a reader may descend: sampled grids for the page's script."""

from __future__ import annotations

import base64
import math
from typing import Any

import xarray as xr

from nnflow.study.types import Configuration, Study

SIDE = 101
"""Most points of a side that the page holds."""


def terrain(study: Study, dataset: xr.Dataset) -> list[dict[str, Any]]:
    """Of each configuration the ends of its window, the optimizer's rate (None where it has none)
    and the losses in base64 of float32.

    dataset: `first` (configuration, first_place), `second` (configuration, second_place) and `loss`
    (configuration, second_place, first_place).
    """
    return [_of(one, dataset.sel(configuration=one.label)) for one in study.configurations]


def _of(configuration: Configuration, part: xr.Dataset) -> dict[str, Any]:
    sides = {name: _thinned(part.sizes[f"{name}_place"]) for name in ("first", "second")}
    part = part.isel({f"{name}_place": places for name, places in sides.items()})
    return {
        "first": [float(part["first"][end]) for end in (0, -1)],
        "second": [float(part["second"][end]) for end in (0, -1)],
        "size": [part.sizes["first_place"], part.sizes["second_place"]],
        "rate": getattr(configuration.settings.optimizer, "rate", None),
        "loss": base64.b64encode(part["loss"].values.astype("<f4").tobytes()).decode(),
    }


def _thinned(count: int) -> range:
    """Evenly spaced places of a side, from its first on, `SIDE` at most."""
    return range(0, count, max(1, math.ceil((count - 1) / (SIDE - 1))))
