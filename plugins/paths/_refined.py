"""Critical points beside points: by Newton steps, and up to a saddle along the lowest mode."""

from __future__ import annotations

import numpy as np

from nnflow import LevenbergMarquardtSteps, find_critical, torch

ZERO = 1e-7
"""An eigenvalue is zero below this part of the largest magnitude, as when ends are classified."""
CRITICAL = 1e-9
"""A point is critical when its gradient norm is below this, as when ends are classified."""
LONGEST = 0.1
"""Longest step of eigenvector following, in weights."""
FLOW = 0.05
"""Longest step of steepest descent, in weights."""
EXPONENT = 300.0
"""Where a step along a mode that falls is longer than any, in powers of e."""
SMALLEST = 1e-3
"""Curvatures below this count as this in its steps."""


class Problem:
    """A landscape as what Newton's method asks of it."""

    def __init__(self, loss) -> None:
        self._loss = loss

    def take(self, rows):
        return self

    def loss(self, weights):
        return torch.as_tensor(self._loss.loss(weights.numpy()))

    def gradient(self, weights):
        return torch.as_tensor(self._loss.gradient(weights.numpy()))

    def hessian(self, weights):
        return torch.as_tensor(self._loss.hessian(weights.numpy()))


def followed(loss, weights: np.ndarray, steps: int) -> np.ndarray:
    """Points (point, weight) after eigenvector following: Newton's step, but uphill along the
    lowest mode of the Hessian and downhill along all others (Cerjan & Miller 1981; Wales 1994),
    then polished."""
    weights, going = weights.copy(), np.arange(len(weights))
    for _ in range(steps):
        gradient = loss.gradient(weights[going])
        far = np.linalg.norm(gradient, axis=1) >= CRITICAL
        going, gradient = going[far], gradient[far]
        if not len(going):
            break
        values, vectors = np.linalg.eigh(loss.hessian(weights[going]))
        along = np.einsum("pij,pi->pj", vectors, gradient)
        step = along / np.maximum(np.abs(values), SMALLEST)
        step[:, 1:] *= -1
        length = np.linalg.norm(step, axis=1, keepdims=True)
        step *= np.minimum(1, LONGEST / np.maximum(length, 1e-300))
        weights[going] += np.einsum("pij,pj->pi", vectors, step)
    return polished(loss, weights)


def descended(loss, weights: np.ndarray, steps: int) -> np.ndarray:
    """The ends (point, weight) of `descent_lines`."""
    return np.array([line[-1] for line in descent_lines(loss, weights, steps)])


def descent_lines(loss, weights: np.ndarray, steps: int) -> list[np.ndarray]:
    """From each point the line (step, weight) of a steepest descent in steps of at most FLOW, each
    along the exact descent of the quadratic model at its point (Page & McIver 1988). Its end is
    polished where it came to rest, and NaN elsewhere. It takes flat and steep directions alike,
    where a fixed rate would take 10⁴ steps."""
    weights, going = weights.copy(), np.arange(len(weights))
    lines = [[row.copy()] for row in weights]
    for _ in range(steps):
        gradient = loss.gradient(weights[going])
        far = np.linalg.norm(gradient, axis=1) >= CRITICAL
        going, gradient = going[far], gradient[far]
        if not len(going):
            break
        values, vectors = np.linalg.eigh(loss.hessian(weights[going]))
        along = np.einsum("pij,pi->pj", vectors, gradient)
        weights[going] -= np.einsum("pij,pj->pi", vectors, _flow(values, along))
        for row in going:
            lines[row].append(weights[row].copy())
    ends = polished(loss, weights)
    ends[going] = np.nan
    return [np.array([*line, end]) for line, end in zip(lines, ends, strict=True)]


def _flow(values: np.ndarray, along: np.ndarray) -> np.ndarray:
    """(1 − exp(−hλ))/λ times the gradient, mode by mode (point, mode), with the longest time h for
    which it is no longer than FLOW, by bisection of log h."""
    low, high = np.full((len(values), 1), -40.0), np.full((len(values), 1), 40.0)
    flat = np.where(np.abs(values) < np.finfo(float).tiny, np.finfo(float).tiny, values)
    for _ in range(60):
        middle = (low + high) / 2
        exponent = np.minimum(-np.exp(middle) * flat, EXPONENT)
        short = np.linalg.norm(np.expm1(exponent) / -flat * along, axis=1, keepdims=True) <= FLOW
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    return np.expm1(np.minimum(-np.exp(low) * flat, EXPONENT)) / -flat * along


def polished(loss, weights: np.ndarray, steps: int = 50) -> np.ndarray:
    """The critical points beside the points, by damped Newton steps."""
    method = LevenbergMarquardtSteps()
    return find_critical(Problem(loss), torch.as_tensor(weights), method, steps, 1e-13).numpy()


def inertia(loss, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index and nullity of points (point, weight); -1 where the gradient does not vanish."""
    critical = np.linalg.norm(loss.gradient(weights), axis=1) < CRITICAL
    values = np.linalg.eigvalsh(loss.hessian(weights))
    zero = np.abs(values) <= ZERO * np.abs(values).max(axis=1, keepdims=True)
    index, nullity = ((values < 0) & ~zero).sum(axis=1), zero.sum(axis=1)
    return np.where(critical, index, -1), np.where(critical, nullity, -1)


def described(loss, found: np.ndarray, points: np.ndarray) -> dict[str, np.ndarray]:
    """Critical points (point, weight) found beside points: `weights`, `loss`, `gradient_norm`,
    `index` and `nullity` by eigenvalues of the Hessian, -1 where the gradient does not vanish;
    `moved`, how far they lie."""
    index, nullity = inertia(loss, found)
    return {
        "weights": found,
        "loss": loss.loss(found),
        "gradient_norm": np.linalg.norm(loss.gradient(found), axis=1),
        "index": index,
        "nullity": nullity,
        "moved": np.linalg.norm(found - points, axis=1),
    }


def critical_beside(loss, points: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """What Levenberg–Marquardt steps on ‖∇L‖² reach from the points (point, weight), described."""
    return described(loss, polished(loss, points, steps), points)


def saddle_beside(loss, points: np.ndarray, steps: int) -> dict[str, np.ndarray]:
    """What eigenvector following reaches from the points (point, weight), described."""
    return described(loss, followed(loss, points, steps), points)
