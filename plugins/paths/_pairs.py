"""Pairs of runs that share no run, and the losses on the paths between them."""

from __future__ import annotations

import numpy as np

from ..general._flat import flat_weights
from ._normed import Network, image


def ends(configuration, dataset) -> np.ndarray:
    """The ends of all runs that have one, (run, weight), float64 however they were trained."""
    weights = flat_weights(configuration.settings.model, dataset).astype(np.float64)
    return weights[np.isfinite(weights).all(axis=1)]


def disjoint_pairs(runs: int) -> list[tuple[int, int]]:
    """(0, 1), (2, 3), …: pairs that share a run are not independent."""
    return [(run, run + 1) for run in range(0, runs - 1, 2)]


def matched(model, one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, int]:
    """The other network (weight,) with its neurons in the order nearest to the first, and the
    rounds that the alternation took."""
    moved, rounds = image(model, Network(one, {}), Network(other, {}))
    return moved.weights, rounds


def barrier(values: np.ndarray, t: np.ndarray) -> np.ndarray:
    """How far the highest value on a path (…, t) rises above the straight line between the values
    at its ends (Frankle et al. 2020; Entezari et al. 2022)."""
    line = (1 - t) * values[..., :1] + t * values[..., -1:]
    return (values - line).max(axis=-1)
