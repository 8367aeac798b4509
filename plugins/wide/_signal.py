"""How lengths and correlations of signals evolve in networks of infinite width.

Poole et al. 2016 (arXiv:1606.05340), Schoenholz et al. 2017 (arXiv:1611.01232), with Gaussian
weights of variance α_w²/d and Gaussian biases of variance α_h²:

    ν(q) = α_w² E σ²(√q s) + α_h²                    the length map
    C̃(c) = (α_w² E σ(u₁)σ(u₂) + α_h²)/q*             the correlation map at ν(q*) = q*
    χ₁ = α_w² E σ'²,  a = ν'(q*) = α_w² E σσ's/√q*,  b = C̃'(c*) = α_w² E σ'(u₁)σ'(u₂)
    ξ_q = −1/ln|a|,  ξ_c = −1/ln b                   depth scales

a is not computed from σ'': of an activation with kinks that is a distribution (automatic
differentiation of hard tanh gives a = χ₁, which is wrong). Where a < 0 lengths alternate. Every
number has a bound of its error.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from nnflow import UserError

from ._moments import EPSILON, Moments

SEARCHED = (1e-8, 1e6)
"""Range of q in which fixed points beside 0 are looked for."""
GRID = 400
"""Points of that range, at equal ratios: two fixed points closer than a factor of 1.08 may be
missed, and so is one at which ν only touches the diagonal."""
NEUTRAL = 1e-9
"""A fixed point with a or χ₁ this near to 1 is called neither stable nor unstable."""


@dataclass(frozen=True)
class Number:
    """A number and a bound of its error."""

    value: float
    error: float = 0.0


@dataclass(frozen=True)
class FixedPoint:
    """A fixed point of the length map.

    stable: None where a = ±1 leaves it open. basin: the starts q from which ν leads there, for a
    monotone ν; from the unstable neighbour below to the one above.
    """

    q: Number
    a: Number
    chi1: Number
    stable: bool | None
    xi_q: Number
    residual: float
    basin: tuple[float, float]


@dataclass(frozen=True)
class FixedCorrelation:
    """The stable fixed point of C̃ on [0, 1]."""

    c: Number
    b: Number
    xi_c: Number


def depth_scale(factor: Number) -> Number:
    """ξ = −1/ln|factor|: 0 where the factor is 0, infinite where it is ±1, NaN above, where
    nothing decays."""
    size = abs(factor.value)
    if size > 1 + factor.error:
        return Number(np.nan, np.nan)
    if size == 0:
        return Number(0.0, 0.0)
    if size >= 1 - factor.error:
        return Number(np.inf, np.nan)
    xi = -1 / np.log(size)
    return Number(xi, xi**2 * factor.error / size + 4 * EPSILON * xi)


@dataclass(frozen=True)
class Propagation:
    """The maps of one activation and one pair of variances. α_w² and α_h² are not negative."""

    moments: Moments
    weight_variance: float
    bias_variance: float

    def length(self, q):
        """ν(q), (…)."""
        return self.weight_variance * self.moments.single(q)[0][0] + self.bias_variance

    def slopes(self, q: float) -> tuple[Number, Number]:
        """a = ν'(q) and χ₁(q)."""
        if self.weight_variance == 0:
            return Number(0.0), Number(0.0)
        values, errors = self.moments.single(q)
        w = self.weight_variance
        return Number(w * values[2], w * errors[2]), Number(w * values[1], w * errors[1])

    def fixed_points(self, searched: tuple[float, float] = SEARCHED) -> list[FixedPoint]:
        """All fixed points of ν in the range that is searched, and 0 where it is one, rising."""
        found = [0.0] if self.length(np.zeros(())) == 0 else []
        grid = np.geomspace(*searched, GRID)
        excess = self.length(grid) - grid
        # at a line of fixed points, as ReLU has for α_w² = 2, rounding alone has signs
        flat = np.abs(excess) <= 64 * EPSILON * grid
        away = np.flatnonzero(~flat)
        for i, j in itertools.pairwise(away):  # j = i + 2 where a point of the grid is fixed
            if excess[i] * excess[j] < 0 and j <= i + 2:
                found.append(self._root(grid[i], grid[j]))
        return self._described(found)

    def _root(self, low: float, high: float) -> float:
        # scipy.optimize where it is needed: its import costs more than small tables
        from scipy.optimize import brentq

        return brentq(lambda q: float(self.length(q)) - q, low, high, xtol=1e-300, rtol=4 * EPSILON)

    def _described(self, found: list[float]) -> list[FixedPoint]:
        points = []
        for place, q in enumerate(found):
            a, chi1 = self.slopes(q)
            low = found[place - 1] if place else 0.0
            high = found[place + 1] if place + 1 < len(found) else np.inf
            points.append(self._point(q, a, chi1, (low, high)))
        return points

    def _point(self, q: float, a: Number, chi1: Number, basin) -> FixedPoint:
        _, errors = self.moments.single(q)
        residual = float(self.length(q)) - q
        noise = self.weight_variance * errors[0] + 4 * EPSILON * q
        gap = abs(1 - a.value)
        apart = (abs(residual) + noise) / gap if gap > NEUTRAL else np.inf
        apart = 0.0 if q == 0 else apart
        stable = None if abs(abs(a.value) - 1) <= NEUTRAL else bool(abs(a.value) < 1)
        a, chi1 = (Number(x.value, x.error + self._drift(q, apart, i))
                   for x, i in ((a, 2), (chi1, 1)))  # fmt: skip
        return FixedPoint(
            q=Number(q, apart), a=a, chi1=chi1, stable=stable, xi_q=depth_scale(a),
            residual=residual, basin=basin if stable else (q, q),
        )  # fmt: skip

    def _drift(self, q: float, apart: float, moment: int) -> float:
        """How far a moment may move within the error of q."""
        if apart == 0:
            return 0.0
        if not np.isfinite(apart):
            return np.inf
        ends = self.moments.single(q * np.array([1 - 1e-4, 1 + 1e-4]))[0][moment]
        return 2 * self.weight_variance * abs(ends[1] - ends[0]) / (2e-4 * q) * apart

    def correlation(self, c, q1, q2=None):
        """c₁₂ of the next layer, (…), from c and the lengths q₁, q₂ of this one."""
        q2 = q1 if q2 is None else q2
        covariance = self.weight_variance * self.moments.pair(q1, q2, c)[0][0] + self.bias_variance
        return covariance / np.sqrt(self.length(q1) * self.length(q2))

    def slope_at_one(self, q: float) -> float:
        """dc'/dc at c = 1: χ₁(q)q/ν(q), which is χ₁ at a fixed point only."""
        return self.slopes(q)[1].value * q / float(self.length(q))

    def fixed_correlation(self, point: FixedPoint) -> FixedCorrelation:
        """c* at a fixed point q* > 0: 1 where χ₁ ≤ 1, else the one below 1, of which there is
        exactly one as C̃ is convex on [0, 1]. Raises ValueError for q* = 0, where C̃ does not exist.
        """
        q, w = point.q.value, self.weight_variance
        if q == 0:
            raise ValueError("the correlation map does not exist at q* = 0")
        if point.chi1.value <= 1 + point.chi1.error:
            return FixedCorrelation(Number(1.0), point.chi1, depth_scale(point.chi1))
        c = 0.0
        # Newton from below: C̃(c) − c is convex and falls up to the root, so it never passes it
        for _ in range(60):
            values, errors = self.moments.pair(q, q, c)
            excess = w * values[0] + self.bias_variance - q * c
            step = excess / (q * (1 - w * values[1]))
            if abs(step) <= 2 * EPSILON * max(c, EPSILON):
                break
            c = float(min(max(c + step, 0.0), 1 - EPSILON))
        b = w * float(values[1])
        noise = (abs(excess) + w * errors[0] + 2 * point.q.error + 4 * EPSILON * q) / q
        apart = float(noise / (1 - b)) if c else 0.0
        ends = w * self.moments.pair(q, q, np.array([c, c + 1e-4 * (1 - c)]))[0][1]
        bend = (ends[1] - ends[0]) / (1e-4 * (1 - c))
        b = Number(b, float(w * errors[1] + 2 * bend * apart + 2 * b * point.q.error / q))
        return FixedCorrelation(Number(c, apart), b, depth_scale(b))


def check_variances(*variances: float) -> None:
    """Raises UserError for a variance that is negative or not finite; 0 is one."""
    for value in variances:
        if not 0 <= value < np.inf:
            raise UserError(f"variances must be finite and not negative, not {value}")


def attracting(points: list[FixedPoint], start: float = 1.0) -> FixedPoint | None:
    """The fixed point that a monotone ν leads to from `start`; None: there is none."""
    for point in points:
        if point.stable is not False and point.basin[0] <= start < point.basin[1]:
            return point
    return None


def critical_line(moments: Moments, q) -> tuple[np.ndarray, np.ndarray]:
    """The pairs (α_w², α_h²) with χ₁ = 1 at the fixed point q, (…); α_h² < 0: no network has it."""
    values = moments.single(q)[0]
    return 1 / values[1], q - values[0] / values[1]


def critical_weight_variance(moments: Moments, bias_variance: float) -> float:
    """α_w² of the line χ₁ = 1 at this α_h² > 0, the first one met as q rises; NaN: none below
    q = 1e6."""
    from scipy.optimize import brentq

    def excess(q):
        return critical_line(moments, q)[1] - bias_variance

    grid = np.geomspace(bias_variance, SEARCHED[1], GRID)
    (places,) = np.nonzero(np.diff(np.sign(excess(grid))))
    if not len(places):
        return np.nan
    low, high = grid[places[0] : places[0] + 2]
    q = brentq(lambda x: float(excess(x)), low, high, xtol=1e-300, rtol=4 * EPSILON)
    return float(critical_line(moments, q)[0])
