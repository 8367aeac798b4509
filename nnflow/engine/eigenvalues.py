"""Eigenvalues of Hessians, each with its residual.

For a symmetric H and a unit vector v, some eigenvalue of H lies within ‖Hv − λv‖ of λ: the
residual is an error bar that needs no trust in the method that found the pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from nnflow.engine.krylov import Product, Space
from nnflow.engine.objective import Objective, numpy_product

TOLERANCE = 1e-8
"""Residual, as a fraction of the spectral norm, at which an eigenpair counts as converged."""
PATIENCE = ((512, TOLERANCE), (1536, 1e-6), (2560, 1e-3))
"""(products, residual as a fraction of the norm that is enough up to there). The high end of a
network's Hessian is apart from the rest and soon found. The low end lies beside a cluster at zero,
which takes a large basis, and restarts hardly help; an eigenvalue inside the cluster may miss the
tolerance, and is then still known, to its residual."""
ROOM = 512
"""Vectors of the basis at most, beside four per wanted eigenvalue."""
MEMORY = 2 * 2**30
"""Bytes that the basis may take: 268 vectors at 10⁶ weights."""
MISSED = 1e-6
"""Probability that `nothing_below` allows for."""
FORMED = 256
"""Up to this number of weights, plus four per wanted eigenvalue, the matrix itself is formed."""
POWER_STEPS = 12
"""Products spent on the scale of the operator."""


def dense_eigenvalues(hessian: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All eigenvalues of symmetric matrices (run, weight, weight).

    Returns the eigenvalues in ascending order and the residuals ‖Hv − λv‖, (run, weight)
    each.
    """
    values, vectors = torch.linalg.eigh(hessian)
    defect = hessian @ vectors - vectors * values.unsqueeze(-2)
    return values, torch.linalg.vector_norm(defect, dim=-2)


@dataclass(frozen=True)
class Extremes:
    """Both ends of a spectrum, each in ascending order, (count,).

    lowest_residual, highest_residual: ‖Hv − λv‖ for the unit vectors found.
    vectors: those unit vectors, of the lowest and then of the highest, (size, lowest + highest).
    converged: did every residual come below the tolerance (times the norm)? If not, each number is
    still within its residual of an eigenvalue, perhaps not of the one that its place names.
    norm, spread: largest magnitude of an eigenvalue that was seen, and the distance of the
    outermost ones.
    products: how many products were used.
    first: steps of the Krylov space of the start vector; `size` where the matrix was formed.
    """

    lowest: np.ndarray
    highest: np.ndarray
    lowest_residual: np.ndarray
    highest_residual: np.ndarray
    vectors: np.ndarray
    converged: bool
    norm: float
    spread: float
    products: int
    first: int


def extreme_eigenvalues(
    product: Product,
    size: int,
    count: int,
    highest: int | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
    tolerance: float | None = None,
    memory: int = MEMORY,
    least: int = 0,
) -> Extremes:
    """The `count` lowest and the `highest` highest eigenvalues (None: as many) of a symmetric
    operator v ↦ Hv, (size,) → (size,), from one Krylov space for both ends, or by forming H where
    it is small. One of the two may be 0.

    seed: of the start vector; the same seed gives the same numbers. tell: is told how many products
    were used, at each of them. tolerance: residual, as a fraction of the spectral norm, at which to
    end; None: as `PATIENCE` has it. memory: bytes that the basis may take. least: steps of the
    space of the start vector at least, where they fit.
    Raises ValueError unless both lie between 0 and size and one is positive.
    """
    counts = (count, count if highest is None else highest)
    if not 0 <= min(counts) <= max(counts) <= size or max(counts) == 0:
        raise ValueError(f"count must lie between 1 and {size}, got {max(counts)}")
    counted = _Counted(product, tell)
    if size <= 4 * max(counts) + FORMED:
        values, residuals, vectors, outermost = _formed(counted, size, counts)
        first = size
    else:
        start = np.random.default_rng(seed).standard_normal(size)
        fitting = min(size, max(4 * max(counts) + ROOM, least), memory // (8 * size))
        space = Space(counted, start, max(fitting, 2 * sum(counts) + 10))
        values, residuals, turn, outermost = _searched(space, counts, tolerance, least)
        vectors, first = space.vectors(turn), space.first
    low, high = slice(counts[0]), slice(counts[0], None)
    norm = float(np.abs(outermost).max())
    return Extremes(
        lowest=values[low],
        highest=values[high],
        lowest_residual=residuals[low],
        highest_residual=residuals[high],
        vectors=vectors,
        converged=bool(residuals.max() <= (tolerance or TOLERANCE) * norm),
        norm=norm,
        spread=float(outermost[1] - outermost[0]),
        products=counted.calls,
        first=first,
    )


def ends_of_spectra(
    objective: Objective,
    weights: torch.Tensor,
    count: int,
    highest: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
    least: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The `count` lowest and then the `highest` highest eigenvalues (None: as many) of the Hessian
    at each run's weights (run, weight), matrix-free, run by run; their residuals, (run, mode) each;
    their vectors, (run, weight, mode); and what no eigenvalue is below, (run,), NaN where no lowest
    one is asked for (`nothing_below`).

    tell: is told how many products of a run were used. least: Lanczos steps of each run at least.
    """
    found = []
    for row in range(len(weights)):
        product = numpy_product(objective.take(np.array([row])), weights[row : row + 1])
        found.append(
            extreme_eigenvalues(product, weights.shape[1], count, highest, tell=tell, least=least)
        )
    modes = count + (count if highest is None else highest)
    values = [np.concatenate([ends.lowest, ends.highest]) for ends in found]
    residuals = [np.concatenate([ends.lowest_residual, ends.highest_residual]) for ends in found]
    vectors = np.reshape([ends.vectors for ends in found], (len(found), weights.shape[1], modes))
    floor = [nothing_below(ends, weights.shape[1]) if count else np.nan for ends in found]
    columns = (np.reshape(part, (len(found), modes)) for part in (values, residuals))
    return *columns, vectors, np.array(floor, dtype=float)


class _Counted:
    """An operator that counts its uses, and tells them."""

    def __init__(self, product: Product, tell: Callable[[str], None]) -> None:
        self.product = product
        self.tell = tell
        self.calls = 0

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        self.calls += 1
        self.tell(f"{self.calls} products of the Hessian")
        return self.product(vector)


Ends = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Eigenvalues and residuals, (mode,) each, vectors (size, mode), and the outermost two values."""


def _formed(product: Product, size: int, counts: tuple[int, int]) -> Ends:
    """Both ends from the matrix itself."""
    columns = np.stack([product(column) for column in np.eye(size)], axis=1)
    hessian = (columns + columns.T) / 2
    values, vectors = (part.numpy() for part in torch.linalg.eigh(torch.from_numpy(hessian)))
    residuals = np.linalg.norm(hessian @ vectors - vectors * values, axis=0)
    ends = _ends(size, counts)
    return values[ends], residuals[ends], vectors[:, ends], values[[0, -1]]


def _ends(size: int, counts: tuple[int, int]) -> np.ndarray:
    """Places of so many of the first and of the last of `size` numbers."""
    return np.r_[: counts[0], size - counts[1] : size]


def _searched(space: Space, counts: tuple[int, int], tolerance: float | None, least: int) -> Ends:
    """Ritz values of both ends, with their vectors in the basis of the space, which is grown until
    they have converged, or patience ends."""
    patience = PATIENCE if tolerance is None else [(PATIENCE[-1][0], tolerance)]
    while True:
        space.grow()
        if space.steps % max(1, space.steps // 20) and not space.full and not space.whole:
            continue  # the small problem costs as much as a product
        if space.products < least and not space.full and not space.whole:
            continue
        # copies of a multiple eigenvalue come where the space was invariant
        if space.steps < 2 * sum(counts) + (10 if space.broken else 0) and not space.whole:
            continue
        values, turn = space.ritz()
        outermost, ends = values[[0, -1]], _ends(space.steps, counts)
        found, vectors = values[ends], turn[:, ends]
        enough = next((part for most, part in patience if space.products <= most), np.inf)
        if space.whole or space.left(vectors).max() <= enough * np.abs(outermost).max():
            return found, space.residuals(found, vectors), vectors, outermost
        if space.full:
            half = space.steps // 2
            kept = [max(n, half * n // sum(counts)) for n in counts]
            space.shrink(turn[:, _ends(space.steps, (kept[0], kept[1]))])


def nothing_below(ends: Extremes, size: int) -> float:
    """A number that no eigenvalue is below, but with the probability `MISSED`, over the start
    vectors.

    After k Lanczos steps from a random vector an outermost Ritz value is off by at most a fraction
    ε of the spread of the spectrum, but with the probability 1.648 √n exp(−√ε (2k − 1)) (Kuczyński
    & Woźniakowski 1992). −∞ where that says nothing.
    """
    if ends.first >= size:
        return float(ends.lowest[0] - ends.lowest_residual[0])
    # of either end: the spread is known from the Ritz values only
    part = (np.log(2 * 1.648 * np.sqrt(size) / MISSED) / (2 * ends.first - 1)) ** 2
    return float(ends.lowest[0] - part * ends.spread / (1 - 2 * part)) if part < 0.25 else -np.inf


def power_norm(product: Callable[[torch.Tensor], torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Lower bounds on the spectral norms of many operators, near them, (run,).

    product: v ↦ Hv for vectors of the shape and kind of `like`, (run, weight).
    """
    start = np.random.default_rng(0).standard_normal(like.shape[1])
    vectors = torch.as_tensor(start / np.linalg.norm(start)).to(like).expand_as(like)
    largest = torch.zeros_like(like[:, 0])
    for _ in range(POWER_STEPS):
        image = product(vectors.contiguous())
        length = torch.linalg.vector_norm(image, dim=1)
        largest = largest.maximum(length)
        vectors = image / torch.where(length > 0, length, 1.0)[:, None]
    return largest
