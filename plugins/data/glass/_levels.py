"""Energies per spin of the spherical 3-spin glass that are known for Λ → ∞, and the law of its
Hessians. In the normalization of Choromanska et al. 2015, √2 times that of physicists.

By the Kac–Rice formula the expected number of critical points of index k with energies below u is
exp(Λ Θ_k(u)) to leading order (Auffinger, Ben Arous & Černý 2013, Theorem 2.5).
"""

from __future__ import annotations

import functools
import math

import numpy as np

EDGE = -2 * math.sqrt(2 / 3)
"""−E_∞ = −2√((p − 1)/p), p = 3: below it nearly all critical points are minima."""
RADIUS = 2 * math.sqrt(6)
"""The Hessian along the sphere at a point of energy u has, over the radius 1, the eigenvalues of
−3u plus a semicircle of this radius: as 3u is the normal part of the gradient, and the entries of
6 Λ^(−1/2) S(x, ·, ·) across x have variance 6/Λ. All are positive for u < −2√6/3 = −E_∞."""


def complexity(energy: float, index: int = 0) -> float:
    """Θ_k(u) for u ≤ −E_∞: ½ log 2 − u²/8 − (k + 1) I(u)."""
    root = math.sqrt(max(energy**2 - EDGE**2, 0.0))
    rate = -energy * root / EDGE**2 - math.log((-energy + root) / -EDGE)
    return 0.5 * math.log(2) - energy**2 / 8 - (index + 1) * rate


@functools.lru_cache
def lowest(index: int = 0) -> float:
    """−E_k, the zero of Θ_k: energies of critical points of index k begin here; −E_0 is that of the
    ground state."""
    from scipy.optimize import brentq

    return float(brentq(complexity, -2.0, EDGE, args=(index,), xtol=1e-14))


def negative_share(energies: np.ndarray) -> np.ndarray:
    """The share of the semicircle around −3u that lies below 0."""
    place = np.clip(3 * np.asarray(energies, dtype=float) / RADIUS, -1, 1)
    return 0.5 + (place * np.sqrt(1 - place**2) + np.arcsin(place)) / math.pi
