"""Stochastic Lanczos quadrature: the spectral density of a symmetric operator.

Lanczos with a random start vector g gives a tridiagonal matrix whose eigenvalues are nodes, and the
squared first entries of its eigenvectors weights, of the Gauss quadrature of gᵀf(H)g (Golub &
Welsch 1969; Ubaru, Chen & Saad 2017). On average over g that is tr f(H)/n. All basis vectors are
orthogonalized against all earlier ones, twice, so that no eigenvalue is found again as a ghost.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]

BROKEN = 1e-12
"""A new direction shorter than this, as a fraction of the norm seen so far, is rounding: the start
vector lies in the space found, and the quadrature is exact."""


def quadrature(product: Product, start: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes, ascending, and weights, which sum to 1, (step,) each, of the measure of `start`.

    product: v ↦ Hv, (size,) → (size,). Steps that were not needed, as the space was exhausted, have
    the node NaN and the weight 0. Memory: steps·size numbers.
    Raises ValueError unless 1 ≤ steps ≤ size.
    """
    if not 1 <= steps <= len(start):
        raise ValueError(f"steps must lie between 1 and {len(start)}, got {steps}")
    basis = np.empty((steps, len(start)))
    basis[0] = start / np.linalg.norm(start)
    diagonal, beside, scale = np.empty(steps), np.empty(steps), 0.0
    done = steps
    for step in range(steps):
        image = product(basis[step])
        diagonal[step] = basis[step] @ image
        for _ in range(2):
            image = image - basis[: step + 1].T @ (basis[: step + 1] @ image)
        beside[step] = np.linalg.norm(image)
        scale = max(scale, abs(diagonal[step]), beside[step])
        if step + 1 == steps:
            break
        if beside[step] <= BROKEN * scale:
            done = step + 1
            break
        basis[step + 1] = image / beside[step]
    from scipy.linalg import eigh_tridiagonal

    nodes, weights = np.full(steps, np.nan), np.zeros(steps)
    values, vectors = eigh_tridiagonal(diagonal[:done], beside[: done - 1])
    nodes[:done], weights[:done] = values, vectors[0] ** 2
    return nodes, weights


def stochastic_density(
    product: Product,
    size: int,
    steps: int,
    probes: int,
    seed: int = 0,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the density of H, (probe, step) each: for each probe the quadrature of
    a random vector, uniform on the sphere.

    Probe p draws from a stream of its own, so that more probes leave the first ones as they are.
    tell: is told how many probes are done, of how many.
    """
    steps, found = min(steps, size), []
    for probe in range(probes):
        start = np.random.default_rng([seed, probe]).standard_normal(size)
        found.append(quadrature(product, start, steps))
        tell(probe + 1, probes)
    return tuple(np.stack(part) for part in zip(*found, strict=True))
