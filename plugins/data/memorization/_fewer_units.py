"""A search for few units that fit targets which alternate on a line."""

from __future__ import annotations

import numpy as np

from nnflow import Streams

NEAR = 0.3
"""Standard deviation of small moves of a knot; samples are 1 apart."""
SINGULAR = 1e-10
"""Singular values below this part of the largest count as 0: of knots that are all but equal."""


def search(units: int, targets: np.ndarray, streams: Streams, steps: int) -> np.ndarray:
    """max_i |f(z_i) − y_i| at the end of each search (search,), at the places z = 1 … n.

    f(z) = Σ_j w_j max(z − b_j, 0). Knots begin anywhere between −1 and n. In each step one of them
    moves, anywhere or a little in turn, and the best w in the sense of least squares are solved
    for; the move is kept if the sum of squares does not rise. Descents by derivatives do not fit
    even where n units can: they don't see beyond the sample that a knot would have to cross.
    """
    count, searches = len(targets), np.arange(len(streams.runs))
    knots = -1 + (count + 1) * streams.uniform(units)
    errors = residuals(knots, targets)
    draws = np.arange(1, 2 * steps + 1, 2)[:, None]
    places, nudges = streams.uniform(2, draws), streams.normal(1, draws + 1)[..., 0]
    for step in range(steps):
        which, place = places[step].T
        moved, one = knots.copy(), (searches, (units * which).astype(int))
        if step % 2:
            moved[one] += NEAR * nudges[step]
        else:
            moved[one] = -1 + (count + 1) * place
        found = residuals(moved, targets)
        kept = np.square(found).sum(axis=1) <= np.square(errors).sum(axis=1)
        knots[kept], errors[kept] = moved[kept], found[kept]
    return np.abs(errors).max(axis=1)


def residuals(knots: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """f(z) − y (search, n) with the best w for knots (search, unit)."""
    places = np.arange(1.0, len(targets) + 1)
    above = np.maximum(places[:, None] - knots[:, None, :], 0.0)
    weights = np.linalg.pinv(above, rcond=SINGULAR) @ targets
    return (above @ weights[..., None])[..., 0] - targets
