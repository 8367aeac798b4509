"""Large deviations of means of n copies of ξ: rate function, prefactor, and rare events measured.

−(1/n) ln P(η_n/n > x) → I(x) = sup_t (tx − K(t)) (Cramér), and with λ = t*σ*, σ*² = K''(t*),
κ₃ = K'''/σ*³, κ₄ = K''''/σ*⁴, for a law with a density,

    P = e^{−nI}/(λ√(2πn)) [1 + (κ₄/8 − 5κ₃²/24 − κ₃/(2λ) − 1/λ²)/n + O(n⁻²)]

(Bahadur & Ranga Rao 1960). For ±1 the attained value x_k = k/n takes the place of x.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from nnflow import mean

from ._laws import Law, threshold

FARTHEST = 700.0
"""Largest t: e^t is finite in float64."""


def tilt(law: Law, x: float) -> float:
    """t* with K'(t*) = x, for 0 < x inside of the support."""
    # scipy.optimize where it is needed
    from scipy.optimize import brentq

    end = min(law.end, FARTHEST)
    low, high = 0.0, end / 2 if np.isfinite(law.end) else 1.0
    while law.cumulants(high)[1] < x:
        low, high = high, (high + end) / 2 if np.isfinite(law.end) else 2 * high
        if high > FARTHEST:
            raise ArithmeticError(f"law {law.name!r}: no t below {FARTHEST:g} tilts it to {x:g}")
    return brentq(lambda t: law.cumulants(t)[1] - x, low, high, xtol=1e-300, rtol=9e-16)


def rate(law: Law, x: float) -> float:
    """I(x) for x > 0 by the Legendre transform; ∞ beyond the support, −ln P(ξ = end) at its end."""
    law.cumulants(0.0)
    if x >= law.highest:
        atom = law.at_highest if x == law.highest else 0.0
        return -np.log(atom) if atom else np.inf
    t = tilt(law, x)
    return t * x - law.cumulants(t)[0]


def log_prefactor(law: Law, n: int, x: float) -> tuple[float, float]:
    """ln of e^{−nI}/(λ√(2πn)), and the coefficient of 1/n in the bracket."""
    t = tilt(law, x)
    k, _, v, third, fourth = law.cumulants(t)
    s = np.sqrt(v)
    size, k3, k4 = t * s, third / s**3, fourth / s**4
    next_order = k4 / 8 - 5 * k3**2 / 24 - k3 / (2 * size) - 1 / size**2
    return -n * (t * x - k) - np.log(size * np.sqrt(2 * np.pi * n)), next_order


def log_lattice(n: int, x: Fraction, strict: bool = True) -> float:
    """The same for ±1: ln of e^{−nI(x_k)}·2/((1 − e^{−2t})√(1 − x_k²)√(2πn)), t = artanh x_k."""
    at = threshold(n, x, strict) / n
    if at >= 1:
        return -n * np.log(2)
    t = np.arctanh(at)
    law = Law(name="signs")
    exponent = -n * (t * at - law.cumulants(t)[0])
    return exponent + np.log(2 / -np.expm1(-2 * t)) - 0.5 * np.log((1 - at**2) * 2 * np.pi * n)


def sampled_log_tail(law: Law, generator, n: int, x: Fraction, runs: int, strict: bool = True):
    """ln P(η_n > nx) by importance sampling, with the ends of its 99 % interval.

    Sums are drawn from the law tilted to the mean x, where the event is no rarer than about ½, and
    weighted by e^{−tη + nK(t)}, relative to e^{−nI}: so P may be far below the smallest float64.
    """
    t = tilt(law, float(x))
    exponent = n * (t * float(x) - law.cumulants(t)[0])
    sums = law.tilted_sums(generator, t, n, runs)
    lattice = law.name == "signs"
    event = sums >= threshold(n, x, strict) if lattice else sums > n * float(x)
    weights = np.where(event, np.exp(np.minimum(-t * (sums - n * float(x)), 0)), 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return tuple(np.log(np.maximum(mean(weights), 0)) - exponent)
