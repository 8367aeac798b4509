"""The trace of a symmetric operator by products with vectors, with an interval.

Hutch++ (Meyer, Musco, Musco & Woodruff 2021): the trace within the space Q that H maps random
vectors to, where its large eigenvalues are, is computed exactly; that of the rest, PHP with
P = 1 − QQᵀ, is the mean of gᵀPHPg over random signs g.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nnflow.base.statistics import mean

Product = Callable[[np.ndarray], np.ndarray]

CONFIDENCE = 0.999
"""Of the interval. More than elsewhere, as it is checked after each round, and the first time
that it is narrow ends the search."""
ROUND = 20
"""Vectors of each of the two kinds in the first round; fewer signs would make no good interval."""
DEPENDENT = 1e-10
"""Directions that lose this much of their length to the space found so far add nothing to it."""
ROUNDING = 1e-13
"""Relative rounding error of a product of the Hessian, and so of an exact trace."""


@dataclass(frozen=True)
class Trace:
    """estimate, low, high: the trace and its interval. products: how many were used. converged: is
    the interval as narrow as was asked for?"""

    estimate: float
    low: float
    high: float
    products: int
    converged: bool


def trace(
    product: Product,
    size: int,
    error: float = 0.01,
    most: int = 3000,
    seed: int = 0,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Trace:
    """tr H of v ↦ Hv, (size,) → (size,), until half the width of the interval is at most `error`
    times the estimate, or `most` products are used.

    Each round doubles the vectors; earlier ones are used again. Where that would take as many
    products as there are weights, the trace is summed exactly. Memory: about 4/3·most·size numbers.
    tell: is told how many products are used, and how many may be.
    Raises ValueError unless error is positive and most at least three rounds of one vector.
    """
    if not error > 0 or most < 3:
        raise ValueError(f"error must be positive and most at least 3, got {error} and {most}")
    random = np.random.default_rng(seed)
    space, images = np.empty((0, size)), np.empty((0, size))
    signs, moved = np.empty((0, size)), np.empty((0, size))
    used, count = 0, ROUND
    while True:
        if used + 3 * count >= size and size <= most:
            return _summed(product, size, used, tell)
        count = min(count, (most - used) // 3)
        sketched = _applied(product, random.standard_normal((count, size)))
        new = _independent(sketched, space)
        space, images = np.vstack([space, new]), np.vstack([images, _applied(product, new)])
        drawn = random.choice([-1.0, 1.0], size=(count, size))
        signs, moved = np.vstack([signs, drawn]), np.vstack([moved, _applied(product, drawn)])
        used += 2 * count + len(new)
        tell(used, most)
        known = float((space * images).sum())
        estimate, low, high = mean(_rests(space, images, signs, moved), CONFIDENCE)
        estimate, low, high = (known + part for part in (estimate, low, high))
        narrow = (high - low) / 2 <= error * abs(estimate)
        if narrow or most - used < 3:
            return Trace(estimate, low, high, used, bool(narrow))
        count = len(signs)


def _applied(product: Product, vectors: np.ndarray) -> np.ndarray:
    return np.stack([product(v) for v in vectors]) if len(vectors) else vectors


def _independent(vectors: np.ndarray, space: np.ndarray) -> np.ndarray:
    """An orthonormal basis of what the vectors (vector, size) add to a space with such a basis."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    rest = vectors / np.where(length > 0, length, 1)
    for _ in range(2):
        rest = rest - (rest @ space.T) @ space
    _, values, basis = np.linalg.svd(rest, full_matrices=False)
    basis = basis[values > DEPENDENT]
    return basis - (basis @ space.T) @ space


def _rests(
    space: np.ndarray, images: np.ndarray, signs: np.ndarray, moved: np.ndarray
) -> np.ndarray:
    """gᵀPHPg of each g, (sign,), from Hg and HQ, without further products."""
    inside = signs @ space.T
    outside, image = signs - inside @ space, moved - inside @ images
    return (outside * image).sum(axis=1)


def _summed(product: Product, size: int, used: int, tell: Callable[[int, int], None]) -> Trace:
    """The sum of the diagonal, one product for each entry."""
    entries = np.empty(size)
    for place in range(size):
        unit = np.zeros(size)
        unit[place] = 1.0
        entries[place] = product(unit)[place]
        tell(place + 1, size)
    half = ROUNDING * float(np.abs(entries).sum())
    total = float(entries.sum())
    return Trace(total, total - half, total + half, used + size, True)
