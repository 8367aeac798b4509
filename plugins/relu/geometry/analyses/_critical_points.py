"""Critical points of any kind of the population loss, many at once."""

from __future__ import annotations

import numpy as np

from ..._population import gradient, hessian

CRITICAL = 1e-12
"""Gradient norm below which a point is critical; converged ones reach 1e-15."""
ZERO = 1e-7
"""Relative magnitude below which an eigenvalue is zero; `modes` says how wide the gap is."""
VANISHED = 1e-3
"""Norm below which a neuron counts as gone, where the gradient is not continuous."""


def find(start: np.ndarray, teachers: np.ndarray, steps: int = 300) -> np.ndarray:
    """Critical points reached from start (run, neuron, input) by Levenberg–Marquardt on |∇L|².

    A step −(H² + μI)⁻¹H∇L is taken where it lowers |∇L|; μ falls tenfold after it and grows
    tenfold after a step refused. Runs that do not converge, or lose a neuron, are dropped.
    """
    w, damping = start.copy(), np.full(len(start), 1e-2)
    slope = gradient(w, teachers).reshape(len(w), -1)
    size = np.linalg.norm(slope, axis=1)
    active = np.arange(len(w))
    for _ in range(steps):
        there = np.linalg.norm(w[active], axis=2).min(axis=1) > VANISHED
        active = active[there & (size[active] > 1e-15) & (damping[active] < 1e12)]
        if not len(active):
            break
        curvature = hessian(w[active], teachers)
        square = curvature @ curvature
        own = np.arange(square.shape[-1])
        # zero modes make the square singular, to rounding: damping is never below that
        least = 1e-14 * np.trace(square, axis1=1, axis2=2)
        square[:, own, own] += np.maximum(damping[active], least)[:, None]
        step = -np.linalg.solve(square, curvature @ slope[active][..., None])[..., 0]
        tried = w[active] + step.reshape(w[active].shape)
        there = gradient(tried, teachers).reshape(len(active), -1)
        better = np.linalg.norm(there, axis=1) < size[active]
        damping[active] *= np.where(better, 0.1, 10)
        moved = active[better]
        w[moved], slope[moved] = tried[better], there[better]
        size[moved] = np.linalg.norm(there[better], axis=1)
    kept = (size < CRITICAL) & (np.linalg.norm(w, axis=2).min(axis=1) > VANISHED)
    return w[kept]


def modes(w: np.ndarray, teachers: np.ndarray) -> dict[str, np.ndarray]:
    """`index` and `nullity` of the Hessian at w (run, neuron, input), and over its largest
    eigenvalue the largest one counted as zero and the smallest one not (run,)."""
    values = np.linalg.eigvalsh(hessian(w, teachers))
    relative = values / np.abs(values).max(axis=1, keepdims=True)
    zero = np.abs(relative) < ZERO
    return {
        "index": (relative <= -ZERO).sum(axis=1),
        "nullity": zero.sum(axis=1),
        "largest_zero": np.where(zero, np.abs(relative), 0).max(axis=1, initial=0),
        "smallest_other": np.where(zero, np.inf, np.abs(relative)).min(axis=1, initial=np.inf),
    }
