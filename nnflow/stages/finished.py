"""Pieces of a job that are finished: kept in its checkpoint, so that none is computed twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import xarray as xr

from nnflow.base.checkpoint import Checkpoint

HEADER = "header"
"""The array that holds axes and attributes, as the bytes of JSON."""


class Finished:
    """The datasets of a job's pieces by name; those of an interrupted job are there at once."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        self._kept = dict(checkpoint.load())

    @contextmanager
    def kept(self) -> Iterator[Finished]:
        """While the block runs, SIGTERM ends the job as soon as a piece is finished and kept. The
        checkpoint goes when the block ends well."""
        with self._checkpoint.at_the_end():
            yield self
        self._checkpoint.remove()

    def piece(self, name: str, compute: Callable[[], xr.Dataset]) -> xr.Dataset:
        """The piece as it was kept, or computed now."""
        if name in self._kept:
            return as_dataset(self._kept[name])
        dataset = compute()
        self._kept[name] = as_arrays(dataset)
        self._checkpoint.save(lambda: self._kept)
        return dataset


def as_arrays(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    """A dataset of numbers as plain arrays, every bit of them."""
    told = {name: [v.dims, _told(v.attrs)] for name, v in dataset.variables.items()}
    text = json.dumps({"variables": told, "coordinates": list(dataset.coords)})
    arrays = {f"v{i}": v.values for i, v in enumerate(dataset.variables.values())}
    return {HEADER: np.frombuffer(text.encode(), dtype=np.uint8), **arrays}


def as_dataset(arrays: Mapping[str, np.ndarray]) -> xr.Dataset:
    """The inverse of `as_arrays`."""
    header = json.loads(arrays[HEADER].tobytes())
    found = {
        name: (tuple(axes), arrays[f"v{i}"], _read(attributes))
        for i, (name, (axes, attributes)) in enumerate(header["variables"].items())
    }
    coordinates = header["coordinates"]
    variables = {name: variable for name, variable in found.items() if name not in coordinates}
    return xr.Dataset(variables, {name: found[name] for name in coordinates})


def _told(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Attributes with arrays as lists, beside their types."""
    return {
        name: {"type": value.dtype.str, "values": value.tolist()}
        if isinstance(value, np.ndarray)
        else value
        for name, value in attributes.items()
    }


def _read(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: np.array(value["values"], value["type"]) if isinstance(value, dict) else value
        for name, value in attributes.items()
    }
