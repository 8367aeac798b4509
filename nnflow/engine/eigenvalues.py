"""Eigenvalues of Hessians, each with its residual.

For a symmetric H and a unit vector v, some eigenvalue of H lies within ‖Hv − λv‖ of λ: the
residual is an error bar that needs no trust in the method that found the pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
FORMED = 256
"""Up to so many weights, beside four per wanted eigenvalue, the matrix itself is formed."""
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
    converged: did every residual come below `TOLERANCE` (times the norm)? If not, each number is
    still within its residual of an eigenvalue, perhaps not of the one that its place names;
    NaN where not even the last of `SEARCHES` found one.
    products: how many products were used.
    """

    lowest: np.ndarray
    highest: np.ndarray
    lowest_residual: np.ndarray
    highest_residual: np.ndarray
    converged: bool
    products: int


def extreme_eigenvalues(product: Product, size: int, count: int, seed: int = 0) -> Extremes:
    """The `count` lowest and `count` highest eigenvalues of a symmetric operator v ↦ Hv,
    (size,) → (size,), by implicitly restarted Lanczos (ARPACK; Lehoucq, Sorensen & Yang
    1998), or by forming H where it is small.

    seed: of the start vector; the same seed gives the same numbers.
    Raises ValueError unless 1 ≤ count ≤ size.
    """
    if not 1 <= count <= size:
        raise ValueError(f"count must lie between 1 and {size}, got {count}")
    counted = _Counted(product)
    start = np.random.default_rng(seed).standard_normal(size)
    start /= np.linalg.norm(start)
    if size <= 4 * count + FORMED:
        ends = _formed(counted, size, count)
    else:
        scale = _scale(counted, start)
        ends = [_end(counted, side, count, scale, start) for side in (-1, 1)]
    (lowest, low_residual), (highest, high_residual) = ends
    norm = max(np.abs(lowest).max(), np.abs(highest).max())
    worst = max(low_residual.max(), high_residual.max())
    converged = bool(worst <= TOLERANCE * norm)  # False where one is NaN
    return Extremes(lowest, highest, low_residual, high_residual, converged, counted.calls)


def ends_of_spectra(
    objective: Objective, weights: torch.Tensor, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """The `count` lowest and then the `count` highest eigenvalues of the Hessian at each run's
    weights (run, weight), matrix-free, run by run; and their residuals, (run, 2·count) each."""
    found = [
        extreme_eigenvalues(
            numpy_product(objective.take(np.array([row])), weights[row : row + 1]),
            weights.shape[1],
            count,
        )
        for row in range(len(weights))
    ]
    values = [np.concatenate([ends.lowest, ends.highest]) for ends in found]
    residuals = [np.concatenate([ends.lowest_residual, ends.highest_residual]) for ends in found]
    return tuple(np.reshape(part, (len(found), 2 * count)) for part in (values, residuals))


class _Counted:
    """An operator that counts its uses."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.calls = 0

    def __call__(self, vector: np.ndarray) -> np.ndarray:
        self.calls += 1
        return self.product(vector)


def _formed(product: Product, size: int, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Both ends from the matrix itself."""
    columns = np.stack([product(column) for column in np.eye(size)], axis=1)
    hessian = torch.from_numpy((columns + columns.T) / 2)
    values, residuals = (part[0].numpy() for part in dense_eigenvalues(hessian[None]))
    return [(values[part], residuals[part]) for part in (slice(count), slice(-count, None))]


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
    product: Product, side: int, count: int, scale: float, start: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and residuals at the low (side −1) or high (+1) end, ascending.

    ARPACK's tolerance is relative to each eigenvalue, which asks too much of one near zero.
    Moved away from zero by about the spectral norm, the eigenvalues of this end are of that
    size, and so is the tolerance; the Krylov space stays the same.
    """
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    size, shift = len(start), side * SHIFT * scale
    moved = LinearOperator(
        (size, size), matvec=lambda vector: product(vector) + shift * vector, dtype=start.dtype
    )
    which = "LA" if side > 0 else "SA"
    found = []
    for tolerance, basis, restarts in SEARCHES:
        limits = {"tol": tolerance, "ncv": min(size, 4 * count + basis), "maxiter": restarts}
        try:
            found.append(eigsh(moved, count, which=which, v0=start, rng=0, **limits)[1])
            break
        except ArpackNoConvergence as partial:
            found.append(partial.eigenvectors)
    return _ritz(product, np.hstack(found), side, count)


def _ritz(
    product: Product, vectors: np.ndarray, side: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Rayleigh–Ritz in the span of the vectors (size, found): the eigenvalues of this end and
    their residuals, ascending, filled up with NaN at the inner end."""
    space, _ = np.linalg.qr(vectors)
    image = np.stack([product(vector) for vector in space.T], axis=1) if vectors.size else space
    small = space.T @ image
    values, turn = np.linalg.eigh((small + small.T) / 2)
    residuals = np.linalg.norm(image @ turn - space @ turn * values, axis=0)
    chosen = slice(None, count) if side < 0 else slice(-count, None)
    missing = (0, max(0, count - len(values)))[::-side]
    return tuple(
        np.pad(part[chosen], missing, constant_values=np.nan) for part in (values, residuals)
    )
