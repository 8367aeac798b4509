"""Images of datasets: the first ones of a file, shrunk, as shares of white."""

from __future__ import annotations

import numpy as np

from nnflow import UserError

WHITE = 255
"""The highest value of a pixel."""


def first(name: str, key: str, values: np.ndarray, asked: int | None) -> np.ndarray:
    """As many values as the setting `key` of the dataset asks for; null: all of them."""
    if asked is not None and asked > len(values):
        raise UserError(f"dataset {name!r}: {key}: {asked} asked for, but there are {len(values)}")
    return values[:asked]


def pixels(images: np.ndarray, side: int) -> np.ndarray:
    """(sample, …, side, side) whole numbers as rows of shares of white, shrunk to `side` pixels
    a side."""
    full = images.shape[-1]
    if side < full:
        shares = _shares(full, side)
        images = shares @ images @ shares.T
    return (images / WHITE).reshape(len(images), -1)


def _shares(full: int, side: int) -> np.ndarray:
    """(side, full): share of each of `full` pixels in the mean over each of `side` equal
    intervals."""
    ends = np.arange(side + 1) * full / side
    places = np.arange(full)
    begin, end = ends[:-1, None], ends[1:, None]
    overlap = np.minimum(end, places + 1) - np.maximum(begin, places)
    return np.maximum(overlap, 0) * side / full
