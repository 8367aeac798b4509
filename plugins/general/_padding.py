"""Arrays of different extents as one."""

from __future__ import annotations

import numpy as np

NONE = -1
PAD = {"f": np.nan, "i": NONE, "U": ""}
"""What stands where an array has no number, by its kind."""


def padded(arrays: list[np.ndarray], most: int | None = None) -> np.ndarray:
    """Arrays of one number of axes and different extents as one (array, …). most: the extent of
    the first of their axes; it, and those of all others, are the largest if not given."""
    extents = np.max([array.shape for array in arrays], axis=0)
    if most is not None:
        extents[0] = most
    kind = next((array.dtype.kind for array in arrays if array.size), arrays[0].dtype.kind)
    rows = np.full((len(arrays), *extents), PAD[kind], dtype=np.result_type(*arrays))
    for row, array in zip(rows, arrays, strict=True):
        row[tuple(map(slice, array.shape))] = array
    return rows
