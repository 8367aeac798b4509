"""Eigenvalues of Hessians, each with its residual.

For a symmetric H and a unit vector v, some eigenvalue of H lies within ‖Hv − λv‖ of λ: the
residual is an error bar that needs no trust in the method that found the pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

from nnflow.engine.objective import Objective, numpy_product

Product = Callable[[np.ndarray], np.ndarray]

TOLERANCE = 1e-8
"""Residual, as a fraction of the spectral norm, at which an eigenpair counts as converged."""
SEARCHES = ((3e-9, 48, 1), (3e-9, 256, 1), (3e-9, 512, 1), (1e-6, 256, 4), (1e-3, 256, 4))
"""(tolerance, Lanczos vectors, restarts), one after the other until one succeeds. The high end
of a network's Hessian is apart from the rest and soon found. The low end lies beside a cluster
at zero, which takes a large basis, and restarts hardly help; an eigenvalue inside the cluster
may miss the tolerance, and is then still known, to its residual."""
APART = ((3e-9, 10, 8),)
"""What is tried first at the high end, without a shift: twice the wanted vectors and 10, restarted.
Where the end is apart from the rest, that takes fewer products than to fill a large basis once."""
FORMED = 256
"""Up to this number of weights, plus four per wanted eigenvalue, the matrix itself is formed."""
SHIFT = 1.5
"""The operator's shift, in units of its scale; not 1, at which a multiple of the identity
would become zero."""
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
    vectors: those unit vectors, of the lowest and then of the highest, (size, lowest + highest);
    NaN where one is missing.
    converged: did every residual come below `TOLERANCE` (times the norm)? If not, each number is
    still within its residual of an eigenvalue, perhaps not of the one that its place names;
    NaN where not even the last of `SEARCHES` found one.
    products: how many products were used.
    """

    lowest: np.ndarray
    highest: np.ndarray
    lowest_residual: np.ndarray
    highest_residual: np.ndarray
    vectors: np.ndarray
    converged: bool
    products: int


def extreme_eigenvalues(
    product: Product,
    size: int,
    count: int,
    highest: int | None = None,
    seed: int = 0,
    tell: Callable[[str], None] = lambda text: None,
) -> Extremes:
    """The `count` lowest and the `highest` highest eigenvalues (None: as many) of a symmetric
    operator v ↦ Hv, (size,) → (size,), by implicitly restarted Lanczos (ARPACK; Lehoucq, Sorensen &
    Yang 1998), or by forming H where it is small. One of the two may be 0.

    seed: of the start vector; the same seed gives the same numbers. tell: is told how many products
    were used, at each of them.
    Raises ValueError unless both lie between 0 and size and one is positive.
    """
    counts = (count, count if highest is None else highest)
    if not 0 <= min(counts) <= max(counts) <= size or max(counts) == 0:
        raise ValueError(f"count must lie between 1 and {size}, got {max(counts)}")
    counted = _Counted(product, tell)
    start = np.random.default_rng(seed).standard_normal(size)
    start /= np.linalg.norm(start)
    if size <= 4 * max(counts) + FORMED:
        ends = _formed(counted, size, counts)
    else:
        scale = cache(lambda: _scale(counted, start))  # not before it is needed
        sides = zip((-1, 1), counts, strict=True)
        ends = [_end(counted, side, most, scale, start) for side, most in sides]
    (low, low_residual, low_vectors), (high, high_residual, high_vectors) = ends
    norm = np.abs(np.concatenate([low, high])).max()
    worst = np.concatenate([low_residual, high_residual]).max()
    return Extremes(
        lowest=low,
        highest=high,
        lowest_residual=low_residual,
        highest_residual=high_residual,
        vectors=np.hstack([low_vectors, high_vectors]),
        converged=bool(worst <= TOLERANCE * norm),  # False where one is NaN
        products=counted.calls,
    )


def ends_of_spectra(
    objective: Objective,
    weights: torch.Tensor,
    count: int,
    highest: int | None = None,
    tell: Callable[[str], None] = lambda text: None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `count` lowest and then the `highest` highest eigenvalues (None: as many) of the Hessian
    at each run's weights (run, weight), matrix-free, run by run; their residuals, (run, mode) each;
    and their vectors, (run, weight, mode).

    tell: is told how many products of a run were used.
    """
    found = []
    for row in range(len(weights)):
        product = numpy_product(objective.take(np.array([row])), weights[row : row + 1])
        found.append(extreme_eigenvalues(product, weights.shape[1], count, highest, tell=tell))
    modes = count + (count if highest is None else highest)
    values = [np.concatenate([ends.lowest, ends.highest]) for ends in found]
    residuals = [np.concatenate([ends.lowest_residual, ends.highest_residual]) for ends in found]
    vectors = np.reshape([ends.vectors for ends in found], (len(found), weights.shape[1], modes))
    return *(np.reshape(part, (len(found), modes)) for part in (values, residuals)), vectors


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


End = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Eigenvalues (mode,), residuals (mode,) and vectors (size, mode) of one end of a spectrum."""


def _formed(product: Product, size: int, counts: tuple[int, int]) -> list[End]:
    """Both ends from the matrix itself."""
    columns = np.stack([product(column) for column in np.eye(size)], axis=1)
    hessian = (columns + columns.T) / 2
    values, vectors = (part.numpy() for part in torch.linalg.eigh(torch.from_numpy(hessian)))
    residuals = np.linalg.norm(hessian @ vectors - vectors * values, axis=0)
    parts = (slice(counts[0]), slice(size - counts[1], None))
    return [(values[part], residuals[part], vectors[:, part]) for part in parts]


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


def _scale(product: Product, start: np.ndarray) -> float:
    """A lower bound on the spectral norm, near it, by the power method; 1 for the
    zero operator."""
    vector, largest = start, 0.0
    for _ in range(POWER_STEPS):
        image = product(vector)
        length = float(np.linalg.norm(image))
        if length == 0:
            break
        largest, vector = max(largest, length), image / length
    return largest or 1.0


def _end(
    product: Product, side: int, count: int, scale: Callable[[], float], start: np.ndarray
) -> End:
    """What is known of the low (side −1) or high (+1) end, ascending.

    ARPACK's tolerance is relative to each eigenvalue, which asks too much of one near zero.
    Moved away from zero by about the spectral norm, the eigenvalues of this end are of that
    size, and so is the tolerance; the Krylov space stays the same.
    """
    if count == 0:
        return np.empty(0), np.empty(0), np.empty((len(start), 0))
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, eigsh

    size = len(start)
    which = "LA" if side > 0 else "SA"
    found = []
    tries = [(tolerance, 2 * count + basis, n, 0) for tolerance, basis, n in APART if side > 0]
    tries += [(tolerance, 4 * count + basis, n, SHIFT) for tolerance, basis, n in SEARCHES]
    for tolerance, basis, restarts, far in tries:
        limits = {"tol": tolerance, "ncv": min(size, basis), "maxiter": restarts}
        moved = _moved(product, side * far * scale() if far else 0.0, start)
        try:
            found.append(eigsh(moved, count, which=which, v0=start, rng=0, **limits)[1])
            break
        except ArpackNoConvergence as partial:
            found.append(partial.eigenvectors)
        except ArpackError:  # of a zero operator, where it is not moved
            if far:
                raise
    return _ritz(product, np.hstack(found), side, count)


def _moved(product: Product, shift: float, like: np.ndarray):
    """v ↦ Hv + shift·v for ARPACK."""
    from scipy.sparse.linalg import LinearOperator

    def moved(vector: np.ndarray) -> np.ndarray:
        return product(vector) + shift * vector if shift else product(vector)

    return LinearOperator((len(like), len(like)), matvec=moved, dtype=like.dtype)


def _ritz(product: Product, vectors: np.ndarray, side: int, count: int) -> End:
    """Rayleigh–Ritz in the span of the vectors (size, found): this end's eigenvalues, residuals and
    vectors, ascending, filled up with NaN at the inner end."""
    space, _ = np.linalg.qr(vectors)
    image = np.stack([product(vector) for vector in space.T], axis=1) if vectors.size else space
    small = space.T @ image
    values, turn = np.linalg.eigh((small + small.T) / 2)
    turned = space @ turn
    residuals = np.linalg.norm(image @ turn - turned * values, axis=0)
    chosen = slice(None, count) if side < 0 else slice(-count, None)
    missing = (0, max(0, count - len(values)))[::-side]
    values, residuals = (
        np.pad(part[chosen], missing, constant_values=np.nan) for part in (values, residuals)
    )
    return values, residuals, np.pad(turned[:, chosen], ((0, 0), missing), constant_values=np.nan)
