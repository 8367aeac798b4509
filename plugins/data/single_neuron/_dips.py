"""All critical points of one sigmoid neuron on a line, in ball arithmetic."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from flint import arb, ctx

PRECISION = 64
SMALLEST = 2.0**-40
"""A piece of the line, relative to its place, that is not decided at this width is given up."""


class Dips(NamedTuple):
    """Minima and maxima, each an interval (low, high) with exactly one critical point, and whether
    it is proved that there are no others."""

    minima: list[tuple[float, float]]
    maxima: list[tuple[float, float]]
    proved: bool


def dips(ratio: float, count: int, target: float = 0.75) -> Dips:
    """The critical points of ℓ(w) = Σ_i (σ(R^i w) − y)², i = 0 … count − 1, on the whole line.

    With y = `target` > ½ each term falls below w = c/R^i, c = ln(y/(1 − y)), and rises above. So
    ℓ' < 0 up to c/R^(count−1), all w ≤ 0 among them, and ℓ' > 0 from c on. Between, the line is cut
    into pieces on which either ℓ' has one sign, or ℓ'' has, and then signs of ℓ' at the ends tell
    whether there is one root or none.
    """
    with ctx.workprec(PRECISION):
        scales = [arb(ratio) ** i for i in range(count)]
        ends = _ends(ratio, count, target)
        grid = np.geomspace(*ends, 40 * count + 1)
        pieces = [(float(a), float(b)) for a, b in pairwise(grid)]
        minima, maxima, proved = [], [], True
        while pieces:
            low, high = pieces.pop()
            slope, curvature = _derivatives(_ball(low, high), scales, target)
            if not slope.contains(0):
                continue
            if not curvature.contains(0):
                signs = [_derivatives(arb(end), scales, target)[0] for end in (low, high)]
                if not any(sign.contains(0) for sign in signs):
                    if (signs[0] > 0) != (signs[1] > 0):
                        (minima if curvature > 0 else maxima).append((low, high))
                    continue
            if high - low < SMALLEST * high:
                proved = False
                continue
            middle = (low * high) ** 0.5
            pieces += [(low, middle), (middle, high)]
        return Dips(sorted(minima), sorted(maxima), proved)


def _ends(ratio: float, count: int, target: float) -> tuple[float, float]:
    """Between which all critical points lie, with some room."""
    top = np.log(target / (1 - target))
    return 0.9 * top / ratio ** (count - 1), 1.1 * top


def _ball(low: float, high: float):
    """A ball that holds the interval."""
    return arb(low).union(arb(high))


def _derivatives(w, scales, target):
    """ℓ' and ℓ'' at a ball."""
    slope, curvature = arb(0), arb(0)
    for scale in scales:
        s = 1 / (1 + (-scale * w).exp())
        first = s * (1 - s)
        slope += 2 * scale * (s - target) * first
        curvature += 2 * scale * scale * (first * first + (s - target) * first * (1 - 2 * s))
    return slope, curvature


def exact_from(count: int, low: float = 2.0, high: float = 10.0, steps: int = 12):
    """(low, high): at the ratio `low` there are proved to be fewer than `count` minima, at `high`
    exactly as many; by bisection, as if the number rose with the ratio. At first at both ends."""
    for _ in range(steps):
        middle = (low + high) / 2
        found = dips(middle, count)
        if not found.proved:  # two critical points that all but merge: a little beside
            found = dips(middle := middle + (high - low) / 64, count)
        if not found.proved:
            break
        if len(found.minima) == count:
            high = middle
        else:
            low = middle
    return low, high
