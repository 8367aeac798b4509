"""Elementary functions by arithmetic alone, of numbers, vectors and arrays, with the same bits on
every processor: those of a library differ in the last ones.

Errors are at most 2 units in the last place, but for results below 10⁻³⁰⁷, which are 0.
"""

from __future__ import annotations

from nnflow.base.compiled import Arithmetic, choose, magnitude, power_of_two

_PER_LOG_2 = 1.4426950408889634
_LOG_2, _LOG_2_REST = 6.93147180369123816490e-01, 1.90821492927058770002e-10
"""log 2 in two parts, the first of which has so few bits that its products with whole numbers up to
2¹¹ are exact (Cody & Waite 1980)."""
_ROUNDING = 1.5 * 2.0**52
"""What is added to it is rounded to a whole number."""


def _reduced(x):
    """n and r with x = n log 2 + r and |r| ≤ ½ log 2."""
    n = (x * _PER_LOG_2 + _ROUNDING) - _ROUNDING
    return n, (x - n * _LOG_2) - n * _LOG_2_REST


def _growth(r):
    """exp(r) − 1 for |r| ≤ ½ log 2, by Taylor's polynomial of degree 13 (the next term is below
    10⁻¹⁷ r), by pairs of terms, which a processor works on at once (Estrin's scheme)."""
    r2 = r * r
    r4 = r2 * r2
    p2 = (1 / 2 + r * (1 / 6)) + r2 * (1 / 24 + r * (1 / 120))
    p6 = (1 / 720 + r * (1 / 5040)) + r2 * (1 / 40320 + r * (1 / 362880))
    p10 = (1 / 3628800 + r * (1 / 39916800)) + r2 * (1 / 479001600 + r * (1 / 6227020800))
    return r + r2 * (p2 + r4 * (p6 + r4 * p10))


reduced, growth = Arithmetic(_reduced), Arithmetic(_growth)


def _exponential(x):
    """exp(x); 0 below −708, infinite above 709."""
    inside = choose(x > 709.0, 709.0, choose(x < -708.0, -708.0, x))
    n, r = reduced(inside)
    power = power_of_two(n)
    found = power + power * growth(r)
    return choose(x > 709.0, float("inf"), choose(x < -708.0, 0.0, found))


def _hyperbolic_tangent(x):
    """tanh x = E/(E + 2) with E = exp(2|x|) − 1, and the sign of x."""
    twice = magnitude(x) * 2.0
    twice = choose(twice > 40.0, 40.0, twice)  # from there on it is 1 to the last bit
    n, r = reduced(twice)
    power = power_of_two(n)
    grown = power * growth(r) + (power - 1.0)
    found = grown / (grown + 2.0)
    return choose(x < 0.0, -found, found)


exponential, hyperbolic_tangent = Arithmetic(_exponential), Arithmetic(_hyperbolic_tangent)


def _sigmoid(x):
    """1/(1 + exp(−x))."""
    return 1.0 / (1.0 + exponential(-x))


sigmoid = Arithmetic(_sigmoid)
