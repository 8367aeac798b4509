"""The length map where biases are not Gaussian.

The central limit theorem makes Wx normal, not Wx + h: with biases of another law the map of the
lengths needs that law, q' = α_w² E σ²(√p s + h) + α_h² with p = q − α_h².
"""

from __future__ import annotations

import numpy as np

from ._gaussian import trapezoid
from ._nonlinearity import Nonlinearity

NODES = 80
"""Gauss–Legendre nodes for the bias."""


def fixed_length(sigma: Nonlinearity, weight_variance: float, bias_variance: float) -> float:
    """q* with biases uniform on ±√3 α_h, for a smooth σ, from q = 1 by iteration.

    Raises ArithmeticError where it does not settle.
    """
    s, density = trapezoid(13.0, 1 / 32)
    x, w = np.polynomial.legendre.leggauss(NODES)
    bias = np.sqrt(3 * bias_variance) * x
    p = 1.0
    for _ in range(2000):
        squares = sigma.value(np.sqrt(p) * s[:, None] + bias) ** 2
        after = weight_variance * float(density @ squares @ w) / 2
        if abs(after - p) <= 1e-15 * max(after, 1e-300):
            return after + bias_variance
        p = after
    raise ArithmeticError("the length map with uniform biases did not settle")


def excess_kurtosis(q: float, bias_variance: float) -> float:
    """Of z = Wx + h with E z² = q: a normal variable has 0, and a uniform h gives −1.2 α_h⁴/q²."""
    return -1.2 * bias_variance**2 / q**2
