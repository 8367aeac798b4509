"""First-order tests at kinks: is 0 a generalized gradient, and does the loss fall in any
direction?

Around a kink a loss is made of smooth pieces, one in each cell of directions; Clarke's generalized
gradient is the convex hull of the pieces' gradients. That it contains 0 is necessary for a minimum
and not sufficient: it does at 0 for |x| − |y|. Along a direction d in the cell c the loss changes
by g_c·d, to first order; it falls in none if each g_c lies in the cone that the cell's walls span.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np

from nnflow.base.least_squares import nonnegative
from nnflow.interfaces.kinks import Kinks

MOST_CELLS = 4096
MOST_KINKS = 64
"""Points with more of either are not tested."""
THIN = 1e-9
"""A cell holds a ball of this radius inside the unit cube, where normals have length 1."""


@dataclass(frozen=True)
class ClarkeTest:
    """residual: norm of the shortest vector in the convex hull of the pieces' gradients, 0 at a
    Clarke-stationary point. descent: steepest fall of the loss per length, 0 where it falls in no
    direction, to first order. cells: number of pieces; −1: too many, or not known."""

    residual: float
    descent: float
    cells: int


UNKNOWN = ClarkeTest(np.nan, np.nan, -1)


def clarke_test(kinks: Kinks | None) -> ClarkeTest:
    """Both tests at one point; `UNKNOWN` where the kinks are, or there are too many cells."""
    if kinks is None:
        return UNKNOWN
    length = np.linalg.norm(kinks.normals, axis=1)
    turning = length > 0  # others change the loss to second order only
    kinks = Kinks(
        kinks.gradient,
        kinks.normals[turning] / length[turning, None],
        kinks.jumps[turning] * length[turning],
        kinks.signs[turning],
    )
    signs = realizable_signs(kinks.normals)
    if signs is None:
        return UNKNOWN
    gradients = kinks.gradients(signs)
    falls = [
        steepest_fall(slope, own[:, None] * kinks.normals)
        for slope, own in zip(gradients, signs, strict=True)
    ]
    return ClarkeTest(shortest(gradients), max(falls), len(signs))


def realizable_signs(normals: np.ndarray) -> np.ndarray | None:
    """The signs (cell, kink), −1 or 1, that the numbers nᵢ·d take for some d; None where there are
    more than `MOST_CELLS`. normals: (kink, weight), of length 1.

    Independent normals have all signs; of others, cells are cut by one plane after another, each
    half being kept if a linear program finds it open.
    """
    count = len(normals)
    if count > MOST_KINKS:
        return None
    if np.linalg.matrix_rank(normals) == count if count else True:
        if 2**count > MOST_CELLS:
            return None
        return np.array(list(product((-1.0, 1.0), repeat=count))).reshape(2**count, count)
    cells = [()]
    for number in range(count):
        cells = [
            (*cell, sign)
            for cell in cells
            for sign in (-1.0, 1.0)
            if _open(np.array([*cell, sign])[:, None] * normals[: number + 1])
        ]
        if len(cells) > MOST_CELLS:
            return None
    return np.array(cells)


def _open(walls: np.ndarray) -> bool:
    """Is there a d with walls·d > 0?"""
    from scipy.optimize import linprog

    count, size = walls.shape
    depth = np.zeros(size + 1)
    depth[-1] = -1
    bounds = [(-1, 1)] * size + [(0, 1)]
    found = linprog(depth, np.hstack([-walls, np.ones((count, 1))]), np.zeros(count), bounds=bounds)
    return found.x is not None and found.x[-1] > THIN


def shortest(gradients: np.ndarray) -> float:
    """Norm of the shortest vector in the convex hull of (cell, weight).

    Non-negative least squares on Σ uₖgₖ = 0, Σ uₖ = 1 finds its shares but for a common factor.
    """
    scale = np.abs(gradients).max(initial=0) or 1.0
    right = np.zeros(gradients.shape[1] + 1)
    right[-1] = 1
    shares, _ = nonnegative(np.vstack([gradients.T / scale, np.ones(len(gradients))]), right)
    return float(np.linalg.norm(shares / shares.sum() @ gradients))


def steepest_fall(slope: np.ndarray, walls: np.ndarray) -> float:
    """max −slope·d over the unit d with walls·d ≥ 0: the distance of the slope from the cone that
    the walls (wall, weight) span."""
    return nonnegative(walls.T, slope)[1]
