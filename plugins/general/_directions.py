"""Directions in weight space: drawn, from the Hessian, through points, along a trajectory."""

from __future__ import annotations

import numpy as np

from ._flat import named_weights

DENSE = 300
"""Most weights for which the Hessian is formed; above, eigenvectors come from products with it."""
TOLERANCE = 1e-6
"""Relative accuracy asked of those; what was reached is measured."""
PARALLEL = 1e-8
"""Two directions whose sine is less than this are one."""
RESTARTS = 60
"""Most restarts of the iteration: small eigenvalues lie close together and come slowly."""


def filter_normalized(model, center: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Drawn directions (direction, weight) whose part in each row of a matrix is as long as that
    row of the center (Li et al. 2018, Section 4); what is no matrix, as biases, does not move. A
    model without matrices is one row."""
    here, moved = named_weights(model, center[None]), named_weights(model, drawn)
    if all(part.ndim == 2 for part in here.values()):
        return drawn * np.linalg.norm(center) / np.linalg.norm(drawn, axis=1, keepdims=True)
    parts = []
    for name, part in moved.items():
        if part.ndim == 2:
            parts.append(np.zeros_like(part))
            continue
        rows, wanted = (a.reshape(len(a), a.shape[1], -1) for a in (part, here[name]))
        lengths = [np.linalg.norm(a, axis=2, keepdims=True) for a in (wanted, rows)]
        parts.append((rows * lengths[0] / lengths[1]).reshape(len(part), -1))
    return np.concatenate(parts, axis=1)


def orthonormal(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first direction of length 1, and the part of the second across it; NaN where there is
    none beyond rounding."""
    with np.errstate(invalid="ignore", divide="ignore"):
        first, second = first / np.linalg.norm(first), second / np.linalg.norm(second)
        across = second - (second @ first) * first
        across = across - (across @ first) * first  # the first time leaves rounding behind
        length = np.linalg.norm(across)
        return first, across / (length if length > PARALLEL else np.nan)


def eigenvectors(loss, center: np.ndarray, end: str, start: np.ndarray):
    """The two eigenpairs at one end of the Hessian's spectrum, (values, vectors (2, weight),
    residuals ‖Hv − λv‖), the outermost first. end: top or bottom. start: (weight,), where the
    iteration begins."""
    if len(center) <= DENSE:
        values, vectors = np.linalg.eigh(loss.hessian(center)[0])
        chosen = [-1, -2] if end == "top" else [0, 1]
        values, vectors = values[chosen], vectors[:, chosen].T
    else:
        values, vectors = _by_products(loss, center, end, start)
    products = loss.hessian_vector(center, vectors)
    return values, vectors, np.linalg.norm(products - values[:, None] * vectors, axis=1)


def _by_products(loss, center, end, start):
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    size = len(center)
    operator = LinearOperator(
        (size, size), lambda v: loss.hessian_vector(center, v)[0], dtype=np.float64
    )
    which = "LA" if end == "top" else "SA"
    settings = {"k": 2, "ncv": 20, "v0": start, "tol": TOLERANCE, "maxiter": RESTARTS}
    try:
        values, vectors = eigsh(operator, which=which, **settings)
    except ArpackNoConvergence as reached:
        values, vectors = reached.eigenvalues, reached.eigenvectors
        if len(values) < 2:
            return np.full(2, np.nan), np.full((2, size), np.nan)
    order = np.argsort(values)[:: -1 if end == "top" else 1]
    return values[order], vectors[:, order].T


def principal(way: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """The two directions in which a trajectory (step, weight) lies farthest from its last point,
    and their share of the squared distances (Li et al. 2018, Section 7)."""
    _, lengths, directions = np.linalg.svd(way - way[-1], full_matrices=False)
    return directions[0], directions[1], float((lengths[:2] ** 2).sum() / (lengths**2).sum())
