"""The arc-cosine kernel of two unit vectors by the angle between them, over balls of angles.

κ(t) = (|sin t| + δ(t) cos t)/2π with δ(t) = |π − t| for 0 ≤ t ≤ 2π, of period 2π. κ″ is
continuous. Angles may be of modulus up to 3π.
"""

from __future__ import annotations

from flint import arb


def over_teachers(function, angle):
    """The sum of a function of angles over the two teachers, at the angles 0 and π/2."""
    return function(angle) + function(angle - arb.pi() / 2)


def delta(angle):
    """δ(t) = min(|π − |t||, |3π − |t||), the distance from the nearest odd multiple of π;
    NaN for |t| > 3π."""
    size = abs(angle)
    if not bool(size <= 3 * arb.pi()):
        return arb.nan()
    return abs(arb.pi() - size).min(abs(3 * arb.pi() - size))


def kappa(angle):
    """κ."""
    return (abs(angle.sin()) + delta(angle) * angle.cos()) / (2 * arb.pi())


def slope(angle):
    """κ′."""
    return -delta(angle) * angle.sin() / (2 * arb.pi())


def curvature(angle):
    """κ″."""
    return (abs(angle.sin()) - delta(angle) * angle.cos()) / (2 * arb.pi())
