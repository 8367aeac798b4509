"""The angle of a cosine by arithmetic alone, so that its bits are the same on every processor."""

from __future__ import annotations

import math

from nnflow import Arithmetic, choose, magnitude, square_root


def _quotient(cosine):
    """Q(y) = arccos(y)/√(1−y²) for 0 ≤ y ≤ 1, as a polynomial in 2y − 1 of degree 20 through its
    values at Chebyshev's nodes (error 4·10⁻¹⁷ Q; its nearest singularity is y = −1). By pairs of
    terms (Estrin's scheme), which a processor works on at once."""
    t = cosine + cosine - 1.0
    t2 = t * t
    t4 = t2 * t2
    t8 = t4 * t4
    p0 = (1.2091995761561452 - 0.2636001412812842 * t) + (
        0.06973319205204817 - 0.0198371469225361 * t
    ) * t2
    p4 = (0.005861628974916285 - 0.0017729284598670242 * t) + (
        0.000544773988660799 - 0.0001693099597410185 * t
    ) * t2
    p8 = (5.307369977099968e-05 - 1.6749075819869722e-05 * t) + (
        5.314300137765282e-06 - 1.693860323878943e-06 * t
    ) * t2
    p12 = (5.418287002530394e-07 - 1.7343078169085141e-07 * t) + (
        5.579896370054702e-08 - 1.8554844983920357e-08 * t
    ) * t2
    p16 = (5.99775844099466e-09 - 1.497309269587466e-09 * t) + (
        4.847870212537191e-10 - 3.5494026622357296e-10 * t
    ) * t2
    p0 = p0 + p4 * t4
    p8 = p8 + p12 * t4
    p16 = p16 + 1.155596335517553e-10 * t4
    return p0 + (p8 + p16 * t8) * t8


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


quotient = Arithmetic(_quotient)
supplement = Arithmetic(_supplement)
