"""The angle of a cosine by arithmetic alone, so that its bits are the same on every processor."""

from __future__ import annotations

import math

from nnflow import Compiled, choose, magnitude, square_root


def _quotient(cosine):
    """Q(y) = arccos(y)/√(1−y²) for 0 ≤ y ≤ 1, as a polynomial in 2y − 1 of degree 20 through its
    values at Chebyshev's nodes (error 4·10⁻¹⁷ Q; its nearest singularity is y = −1)."""
    t = cosine + cosine - 1.0
    p = 1.155596335517553e-10
    p = p * t - 3.5494026622357296e-10
    p = p * t + 4.847870212537191e-10
    p = p * t - 1.497309269587466e-09
    p = p * t + 5.99775844099466e-09
    p = p * t - 1.8554844983920357e-08
    p = p * t + 5.579896370054702e-08
    p = p * t - 1.7343078169085141e-07
    p = p * t + 5.418287002530394e-07
    p = p * t - 1.693860323878943e-06
    p = p * t + 5.314300137765282e-06
    p = p * t - 1.6749075819869722e-05
    p = p * t + 5.307369977099968e-05
    p = p * t - 0.0001693099597410185
    p = p * t + 0.000544773988660799
    p = p * t - 0.0017729284598670242
    p = p * t + 0.005861628974916285
    p = p * t - 0.0198371469225361
    p = p * t + 0.06973319205204817
    p = p * t - 0.2636001412812842
    p = p * t + 1.2091995761561452
    return p


def _supplement(cosine):
    """π−θ and sin θ of cos θ, which is cut off at ±1.

    θ = sin θ · Q(cos θ) for cos θ ≥ 0, and π−θ = sin θ · Q(−cos θ) for cos θ < 0. sin θ =
    √((1 − |cos θ|)(1 + |cos θ|)).
    """
    size = magnitude(cosine)
    size = choose(size > 1.0, 1.0, size)
    sine = square_root((1.0 - size) * (1.0 + size))
    angle = sine * quotient(size)
    return choose(cosine < 0.0, angle, math.pi - angle), sine


quotient = Compiled(_quotient)
supplement = Compiled(_supplement)
