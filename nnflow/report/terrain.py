"""Losses of two weights that a reader may descend: sampled grids for the page's script."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from nnflow.base import store
from nnflow.study.types import Configuration, Study

MARK = {"interactive": "descent"}
"""The attribute of a dataset that is shown so. Its variables are `first` (configuration,
first_place), `second` (configuration, second_place) and `loss` (configuration, second_place,
first_place)."""
SIDE = 101
"""Most points of a side that the page holds."""


@dataclass(frozen=True)
class Terrain:
    """A study's losses: JSON of the configurations for the script, each with the ends of its
    window, the optimizer's rate (null where it has none) and the losses in base64 of float32."""

    analysis: str
    labels: tuple[str, ...]
    data: str


def terrains(study: Study, folder: Path) -> Iterator[Terrain]:
    """Of the analyses whose datasets are marked so."""
    for name in study.settings.analyses:
        file = folder / "analyses" / f"{name}.nc"
        if MARK.items() <= store.attributes(file).items():
            yield _terrain(study, name, store.read(file)[""])


def _terrain(study: Study, name: str, dataset: xr.Dataset) -> Terrain:
    shown = [_of(one, dataset.sel(configuration=one.label)) for one in study.configurations]
    labels = tuple(one.label for one in study.configurations)
    return Terrain(name, labels, json.dumps(shown, separators=(",", ":")))


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
