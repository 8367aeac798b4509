"""Stochastic Lanczos quadrature: the spectral density of a symmetric operator.

Lanczos with a random start vector g gives a tridiagonal matrix whose eigenvalues are nodes, and the
squared first entries of its eigenvectors weights, of the Gauss quadrature of gᵀf(H)g (Golub &
Welsch 1969; Ubaru, Chen & Saad 2017). On average over g that is tr f(H)/n. All basis vectors are
orthogonalized against all earlier ones, twice where needed, so that no eigenvalue is found again as
a ghost; where the basis does not fit into the memory allowed, copies are found and joined instead.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nnflow.engine.krylov import BROKEN, Product, orthogonalized

MEMORY = 2 * 2**30
"""Bytes that the basis of one probe may take: 80 steps at 3·10⁶ weights."""
COPIES = 1e-9
"""Without a basis, nodes nearer to each other than this, as a fraction of the largest, are copies
of one eigenvalue: those that have converged agree to rounding."""


def quadrature(
    product: Product, start: np.ndarray, steps: int, memory: int = MEMORY
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, ascending, and weights, which sum to 1, (step,) each, of the measure of `start`.

    product: v ↦ Hv, (size,) → (size,). Steps that were not needed, as the space was exhausted, have
    the node NaN and the weight 0. memory: bytes that the basis of steps·size numbers may take;
    where it takes more, none is kept (`_recurrence`).
    Raises ValueError unless 1 ≤ steps ≤ size.
    """
    if not 1 <= steps <= len(start):
        raise ValueError(f"steps must lie between 1 and {len(start)}, got {steps}")
    kept = start.dtype.itemsize * steps * len(start) <= memory
    tridiagonal = _orthogonalized if kept else _recurrence
    diagonal, beside = tridiagonal(product, start / np.linalg.norm(start), steps)
    small = np.diag(diagonal) + np.diag(beside, 1) + np.diag(beside, -1)
    values, vectors = np.linalg.eigh(small)  # scipy's import costs more than its speed gains
    shares = vectors[0] ** 2
    if not kept:
        values, shares = _joined(values, shares)
    nodes, weights = np.full(steps, np.nan), np.zeros(steps)
    nodes[: len(values)], weights[: len(values)] = values, shares
    return nodes, weights


def _orthogonalized(
    product: Product, start: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """The diagonal of the tridiagonal matrix and what is beside it; each vector of the basis is
    orthogonal to all earlier ones."""
    basis = np.empty((steps, len(start)))
    basis[0] = start
    diagonal, beside, scale = np.empty(steps), np.empty(steps), 0.0
    for step in range(steps):
        image, parts = orthogonalized(basis[: step + 1], product(basis[step]))
        diagonal[step], beside[step] = parts[-1], np.linalg.norm(image)
        scale = max(scale, abs(diagonal[step]), beside[step])
        if step + 1 == steps or beside[step] <= BROKEN * scale:
            break
        basis[step + 1] = image / beside[step]
    return diagonal[: step + 1], beside[:step]


def _recurrence(product: Product, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The same by the three-term recurrence, with three vectors in memory.

    A density needs no vectors, so no second pass. What is lost is orthogonality: converged
    eigenvalues come again as copies. The weights of the copies add up to that of the eigenvalue
    (Greenbaum 1989), and `_joined` adds them.
    """
    before, now = np.zeros_like(start), start
    diagonal, beside, scale = np.empty(steps), np.empty(steps), 0.0
    for step in range(steps):
        image = product(now)
        if step:
            image = image - beside[step - 1] * before
        diagonal[step] = now @ image
        image = image - diagonal[step] * now
        beside[step] = np.linalg.norm(image)
        scale = max(scale, abs(diagonal[step]), beside[step])
        if step + 1 == steps or beside[step] <= BROKEN * scale:
            break
        before, now = now, image / beside[step]
    return diagonal[: step + 1], beside[:step]


def _joined(nodes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, ascending, with copies joined into one that weighs as much as all of them."""
    seen = weights > 0  # copies weigh as little as 1e-300 at first
    nodes, weights = nodes[seen], weights[seen]
    apart = np.diff(nodes) > COPIES * np.abs(nodes).max()
    first = np.r_[0, np.flatnonzero(apart) + 1]
    total = np.add.reduceat(weights, first)
    return np.add.reduceat(nodes * weights, first) / total, total


def probe(
    product: Product, size: int, steps: int, seed: int, number: int, memory: int = MEMORY
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, (step,), of the random vector of that number, uniform on the sphere: it
    has a stream of its own, so that more probes leave the first ones as they are."""
    start = np.random.default_rng([seed, number]).standard_normal(size)
    return quadrature(product, start, min(steps, size), memory)


def stochastic_density(
    product: Product,
    size: int,
    steps: int,
    probes: int,
    seed: int = 0,
    tell: Callable[[int, int], None] = lambda done, total: None,
    memory: int = MEMORY,
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the density of H, (probe, step) each: for each probe the quadrature of
    a random vector. tell: is told how many probes are done, of how many. memory: as for
    `quadrature`."""
    found = []
    for number in range(probes):
        found.append(probe(product, size, steps, seed, number, memory))
        tell(number + 1, probes)
    return tuple(np.stack(part) for part in zip(*found, strict=True))
