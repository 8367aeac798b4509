"""Arrays of different lengths as one."""

from __future__ import annotations

import numpy as np

NONE = -1
PAD = {"f": np.nan, "i": NONE, "U": ""}
"""What stands where an array has no number, by its kind."""


def padded(arrays: list[np.ndarray], most: int | None = None) -> np.ndarray:
    """Arrays of different lengths as one (array, most); most: the longest, if not given."""
    most = max(map(len, arrays)) if most is None else most
    kind = next((array.dtype.kind for array in arrays if array.size), arrays[0].dtype.kind)
    dtype = np.result_type(*arrays)
    rows = np.full((len(arrays), most), PAD[kind], dtype=dtype)
    for row, array in zip(rows, arrays, strict=True):
        row[: len(array)] = array
    return rows
