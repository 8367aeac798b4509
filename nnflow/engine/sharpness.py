"""The highest eigenvalues of many Hessians at once, from vectors that are near theirs.

Along a trajectory the Hessian changes little from one point to the next: the eigenvectors of the
last point are the start of the search at this one. The space of the search grows by the residuals
of its Ritz vectors, as that of block Lanczos does, and shrinks to the best of them where it is full
(Wu & Simon 2000).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch

FULL = 10
"""Spaces with this many times the vectors of the start shrink to twice as many."""
ROUNDING = 1e-13
"""Residuals below this part of the largest eigenvalue are rounding: they tell no direction, and one
is drawn in their place."""
LEAST = 6
"""Products with each vector of the start, at least: an eigenvalue that has risen since the last
point is seen by the further vectors only, and only after some."""


class Highest(NamedTuple):
    """values: descending, (run, count). residuals: ‖Hv − λv‖ of the unit vectors, (run, count):
    some eigenvalue lies as near. vectors: (run, count, weight). products: used, of each run."""

    values: torch.Tensor
    residuals: torch.Tensor
    vectors: torch.Tensor
    products: int


def highest(
    product: Callable[[torch.Tensor], torch.Tensor],
    start: torch.Tensor,
    count: int,
    tolerance: float = 1e-4,
    most: int = 200,
) -> Highest:
    """The `count` highest eigenvalues of symmetric operators v ↦ Hv, (run, weight) → (run, weight).

    start: (run, vector, weight), independent vectors; those beyond `count` look for what the others
    have no part of. It ends where the residuals of all are at most `tolerance` times the run's
    largest eigenvalue, or where `most` products of each run are used.
    Raises ValueError unless 1 ≤ count ≤ vectors ≤ weights.
    """
    if not 1 <= count <= start.shape[1] <= start.shape[2]:
        raise ValueError(f"count must lie between 1 and {min(start.shape[1:])}, got {count}")
    basis, width = _orthonormal(start, start[:, :0]), start.shape[1]
    images, used = _applied(product, basis), width
    random = torch.Generator().manual_seed(0)
    while True:
        small = basis @ images.mT
        values, turn = torch.linalg.eigh((small + small.mT) / 2)
        values, turn = values.flip(1), turn.flip(2)
        ritz, moved = (_turned(part, turn, width) for part in (basis, images))
        wrong = moved - values[:, :width, None] * ritz
        residuals = torch.linalg.vector_norm(wrong, dim=2)
        near = (residuals[:, :count] <= tolerance * values[:, :1].abs()).all()
        done = near and used >= LEAST * width
        whole = basis.shape[1] == start.shape[2]
        if done or whole or used + width > most:
            return Highest(values[:, :count], residuals[:, :count], ritz[:, :count], used)
        if basis.shape[1] >= FULL * width:
            basis, images = (_turned(part, turn, 2 * width) for part in (basis, images))
        exact = residuals <= ROUNDING * values[:, :1].abs()
        if exact.any():
            fresh = torch.randn(wrong.shape, generator=random, dtype=wrong.dtype)
            wrong = torch.where(exact[..., None], fresh.to(wrong.device), wrong)
        new = _orthonormal(wrong[:, : start.shape[2] - basis.shape[1]], basis)
        basis = torch.cat([basis, new], dim=1)
        images, used = torch.cat([images, _applied(product, new)], dim=1), used + new.shape[1]


def _turned(vectors: torch.Tensor, turn: torch.Tensor, count: int) -> torch.Tensor:
    """The first `count` combinations of vectors, (run, count, weight), by the columns of `turn`."""
    return turn[..., :count].mT @ vectors


def _applied(product: Callable, vectors: torch.Tensor) -> torch.Tensor:
    return torch.stack([product(vectors[:, place]) for place in range(vectors.shape[1])], dim=1)


def _orthonormal(vectors: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Unit vectors (run, vector, weight), orthogonal to one another and to a basis."""
    rest = vectors / torch.linalg.vector_norm(vectors, dim=2, keepdim=True).clamp(min=1e-300)
    for _ in range(2):
        rest = rest - (rest @ basis.mT) @ basis
        rest = torch.linalg.qr(rest.mT)[0].mT
    return rest
