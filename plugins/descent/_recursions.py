"""Gradient descent with momentum on a curvature λ, s = αλ: what it does, and what it must do.

Each recursion has the polynomial z² − Tz + C on one mode; its spectral radius is
(|T| + √(T² − 4C))/2, or √C where the roots are not real.
"""

from __future__ import annotations

import numpy as np


def heavy_ball(x, v, s, beta):
    """Polyak's: V⁺ = βV + s x, x⁺ = x − V⁺."""
    v = beta * v + s * x
    return x - v, v


def delayed(x, v, s, beta):
    """As the lecture prints it: x⁺ = x − V, V⁺ = s x + βV. The gradient acts a step late."""
    return x - v, s * x + beta * v


def nesterov(x, v, s, beta):
    """Nesterov's: the gradient is that at x − βV, V = x⁻ − x."""
    ahead = x - beta * v
    after = ahead - s * ahead
    return after, x - after


STEPS = {"heavy_ball": heavy_ball, "delayed": delayed, "nesterov": nesterov}

COEFFICIENTS = {
    "heavy_ball": lambda s, beta: (1 + beta - s, beta + 0 * s),
    "delayed": lambda s, beta: (1 + beta + 0 * s, beta + s),
    "nesterov": lambda s, beta: ((1 - s) * (1 + beta), (1 - s) * beta),
}
"""T and C."""
BORDERS = {
    "heavy_ball": lambda beta: 2 * (1 + beta),
    "delayed": lambda beta: 1 - beta,
    "nesterov": lambda beta: 2 * (1 + beta) / (1 + 2 * beta),
}
"""The largest stable s: converges iff 0 < s < it, 0 ≤ β < 1."""


def radius(method: str, s, beta):
    """The spectral radius on one mode."""
    trace, determinant = COEFFICIENTS[method](np.asarray(s, dtype=float), beta)
    root = trace**2 - 4 * determinant
    real = (np.abs(trace) + np.sqrt(np.maximum(root, 0))) / 2
    return np.where(root >= 0, real, np.sqrt(np.maximum(determinant, 0)))


def rate(method: str, s, beta, condition: float):
    """The larger radius of the ends of a spectrum [s/κ, s]; the radius is quasi-convex in s, so no
    curvature between is slower."""
    return np.maximum(radius(method, s, beta), radius(method, np.asarray(s) / condition, beta))


def measured(method: str, s, beta, condition: float, steps: int):
    """(|state| at the end/|state| at the start)^(1/steps), the larger of two modes s/κ and s, from
    x = 1, V = 0. Each mode is renormalized at every step, as it would leave the range of float64.

    s and beta are broadcast against one another; all settings go in one batch.
    """
    step = STEPS[method]
    s, beta = np.broadcast_arrays(np.asarray(s, dtype=float), beta)
    modes = np.stack([s / condition, s])
    x, v, grown = np.ones_like(modes), np.zeros_like(modes), np.zeros_like(modes)
    for _ in range(steps):
        x, v = step(x, v, modes, beta)
        size = np.maximum(np.abs(x), np.abs(v))
        with np.errstate(divide="ignore"):
            grown += np.log(size)  # −∞ for a mode that has come to rest
        size[size == 0] = 1.0
        x, v = x / size, v / size
    return np.exp(grown.max(axis=0) / steps)
