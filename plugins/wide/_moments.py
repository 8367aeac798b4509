"""Gaussian moments of an activation: all that wide networks depend on.

With z ~ N(0, q), and (u₁, u₂) normal with variances q₁, q₂ and correlation c:

    single(q): E σ², E σ'², E σσ'z/q          pair(q₁, q₂, c): E σ(u₁)σ(u₂), E σ'(u₁)σ'(u₂)

The third is dE σ²/dq = E[σ'² + σσ''], without the second derivative, which is a distribution where
σ has kinks. Each comes with a bound of its error: `single` gives two arrays (3, …), `pair` two
(2, …). They depend on neither α_w nor α_h.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nnflow import Activation, UserError

from ._gaussian import expectation, rule
from ._nonlinearity import Nonlinearity, nonlinearity

EPSILON = np.finfo(float).eps
ROUNDING = 32 * EPSILON
"""Bound of the relative error of a closed form, whose terms are of the size of its value."""
MOST_COEFFICIENTS = 4096
"""Hermite coefficients at most."""
STEP = 0.05
"""Step of the rule for Hermite coefficients: their integrands have frequencies up to √n + 9, and
the rule resolves those up to 2π/STEP = 125."""
KEPT = 1000
"""Lengths whose moments are kept, at most."""
NEGLIGIBLE = 1e-16
"""A tail of the Hermite series is neglected below this, relative to E σ²."""


def moments(activation: Activation) -> Moments:
    """Those of an activation: in closed form where there is one, else by quadrature."""
    closed = _CLOSED.get(activation.name)
    return closed(activation) if closed else Quadrature(nonlinearity(activation))


class Moments:
    """The interface. sigma: σ."""

    sigma: Nonlinearity

    def single(self, q: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
        """E σ², E σ'², E σσ'z/q at q (…): values and bounds of the error, each (3, …)."""
        raise NotImplementedError

    def pair(self, q1, q2, c) -> tuple[np.ndarray, np.ndarray]:
        """E σ(u₁)σ(u₂), E σ'(u₁)σ'(u₂) at q₁, q₂, c, broadcast: values and bounds, (2, …)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Quadrature(Moments):
    """Any σ. The pair is Mehler's series Σ aₙ(q₁)aₙ(q₂)cⁿ with the Hermite coefficients
    aₙ(q) = E σ(√q s)Heₙ(s)/√n!; its derivative in q₁₂ gives Σ n aₙaₙcⁿ⁻¹/√(q₁q₂) (Price's
    theorem). What is cut off is at most |c|^N √(t₁t₂) with t = E σ² − Σ aₙ², by Parseval: a bound,
    not an estimate."""

    sigma: Nonlinearity
    _kept: dict = field(default_factory=dict, compare=False, repr=False)

    def single(self, q):
        q = np.asarray(q, dtype=float)
        if (q < 0).any() or not np.isfinite(q).all():
            raise UserError(f"variances must be finite and not negative, not {q.min()}")
        found = np.array([self._totals(float(one)) for one in q.ravel()]).reshape(*q.shape, 2, 3)
        found = np.moveaxis(found, (-2, -1), (0, 1))
        return found[0], found[1]

    def _single(self, q: float):
        sigma = self.sigma
        if q == 0:
            low, high = sigma.slopes_at_zero()
            at = float(sigma.value(np.zeros(1))[0])
            slope = (low**2 + high**2) / 2
            stretch = slope if at == 0 else np.nan
            return np.array([at**2, slope, stretch]), np.zeros(3)
        root = np.sqrt(q)

        def terms(s):
            value, slope = sigma.value(root * s), sigma.slope(root * s)
            return np.stack([value**2, slope**2, value * slope * s / root])

        return expectation(terms, q, sigma.kinks, f"activation {sigma.name!r}")

    def pair(self, q1, q2, c):
        q1, q2, c = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (q1, q2, c)))
        values, errors = np.empty((2, *c.shape)), np.empty((2, *c.shape))
        # all correlations at the same lengths are one sum
        for one, two in sorted(set(zip(q1.ravel().tolist(), q2.ravel().tolist(), strict=True))):
            at = (q1 == one) & (q2 == two)
            values[:, at], errors[:, at] = self._pairs(one, two, c[at])
        return values, errors

    def _pairs(self, q1: float, q2: float, c: np.ndarray):
        """At some correlations c (point,): values and errors (2, point)."""
        count, largest = 64, np.abs(c).max()
        while True:
            count *= 2
            (a1, *left1), (a2, *left2) = self.hermite(q1, count), self.hermite(q2, count)
            left = np.sqrt(np.multiply(left1, left2))
            sizes = np.sqrt(self._totals(q1)[0][:2] * self._totals(q2)[0][:2])
            powers = largest ** np.array([count, count - 1])
            if (left * powers <= NEGLIGIBLE * sizes).all() or count >= MOST_COEFFICIENTS:
                break
        n, products = np.arange(count), a1 * a2
        powers = c[:, None] ** n
        slopes = n[1:] * products[1:] / np.sqrt(q1 * q2)
        values = np.array([powers @ products, powers[:, :-1] @ slopes])
        tails = left[:, None] * np.abs(c) ** np.array([[count], [count - 1]])
        return values, tails + ROUNDING * sizes[:, None]

    def hermite(self, q: float, count: int) -> tuple[np.ndarray, float, float]:
        """a₀ … a_{count−1}, and what they leave of E σ² = Σ aₙ² and of E σ'² = Σ n aₙ²/q."""
        kept = self._kept.get((q, "hermite"))
        if kept is None or len(kept) < count:
            kept = self._keep((q, "hermite"), self._coefficients(q, count))
        a = kept[:count]
        (second, slope, _), errors = self._totals(q)
        left = second - a @ a, slope - (np.arange(count) * a**2).sum() / q
        return a, *(max(x, 0.0) + e for x, e in zip(left, errors[:2], strict=True))

    def _totals(self, q: float):
        kept = self._kept.get((q, "single"))
        return self._keep((q, "single"), self._single(q)) if kept is None else kept

    def _keep(self, key, value):
        """Maps are evaluated at the same lengths again and again."""
        if len(self._kept) >= KEPT:
            self._kept.clear()
        self._kept[key] = value
        return value

    def _coefficients(self, q: float, count: int) -> np.ndarray:
        s, weights = rule(q, self.sigma.kinks, STEP)
        return hermite_polynomials(s, count) @ (self.sigma.value(np.sqrt(q) * s) * weights)

    def smooth_coefficients(self, q: np.ndarray, count: int) -> np.ndarray:
        """aₙ(q), (n, q), of a σ without kinks: the nodes are the same for every q."""
        s, weights = rule(1.0, (), STEP)
        values = self.sigma.value(np.sqrt(q)[:, None] * s) * weights
        return hermite_polynomials(s, count) @ values.T


def hermite_polynomials(s: np.ndarray, count: int) -> np.ndarray:
    """Heₙ(s)/√n! for n < count, (n, node): orthonormal under the normal density."""
    found = np.empty((count, len(s)))
    found[0] = 1
    before = np.zeros_like(s)
    for n in range(count - 1):
        found[n + 1] = (s * found[n] - np.sqrt(n) * before) / np.sqrt(n + 1)
        before = found[n]
    return found


class _Closed(Moments):
    """Closed forms, whose error is rounding."""

    def __init__(self, activation: Activation) -> None:
        self.activation = activation

    @cached_property
    def sigma(self) -> Nonlinearity:
        return nonlinearity(self.activation)

    def single(self, q):
        q = np.asarray(q, dtype=float)
        values = np.array(np.broadcast_arrays(*self._one(q)))
        return values, ROUNDING * np.maximum(np.abs(values), 1e-300)

    def pair(self, q1, q2, c):
        q1, q2, c = (np.asarray(x, dtype=float) for x in (q1, q2, np.clip(c, -1, 1)))
        values = np.array(np.broadcast_arrays(*self._two(q1, q2, c)))
        first, second = self._one(q1), self._one(q2)
        ends = [np.sqrt(a * b) for a, b in zip(first[:2], second[:2], strict=True)]
        return values, ROUNDING * np.array([np.broadcast_to(x, values.shape[1:]) for x in ends])


class Rectifier(_Closed):
    """σ(z) = max(z, 0) + κ min(z, 0): ReLU has κ = 0, the identity 1, |z| −1 (Cho & Saul 2009)."""

    @property
    def _negative(self) -> float:
        return {"relu": 0.0, "identity": 1.0}.get(
            self.activation.name, getattr(self.activation, "slope", 0.0)
        )

    def _one(self, q):
        half = (1 + self._negative**2) / 2
        return half * q, half * np.ones_like(q), half * np.ones_like(q)

    def _two(self, q1, q2, c):
        k, theta = self._negative, angle(c)
        h = (np.pi - theta) * c + np.sin(theta)
        bent = (1 - k) ** 2 / (2 * np.pi)
        return np.sqrt(q1 * q2) * (k * c + bent * h), k + bent * (np.pi - theta)


class ErrorFunction(_Closed):
    """σ(z) = erf z (Williams 1997)."""

    def _one(self, q):
        root = np.sqrt(1 + 4 * q)
        slope = 4 / (np.pi * root)
        return 2 / np.pi * np.arctan(2 * q / root), slope, slope / (1 + 2 * q)

    def _two(self, q1, q2, c):
        q12 = c * np.sqrt(q1 * q2)
        # (1 + 2q₁)(1 + 2q₂) − 4q₁₂², without cancellation where c is near ±1
        root = np.sqrt(1 + 2 * q1 + 2 * q2 + 4 * q1 * q2 * (1 - c) * (1 + c))
        return 2 / np.pi * np.arctan(2 * q12 / root), 4 / (np.pi * root)


class Trigonometric(_Closed):
    """σ(z) = sin z or cos z."""

    @property
    def _sign(self) -> int:
        return 1 if self.activation.name == "sine" else -1

    def _one(self, q):
        fast = np.exp(-2 * q)
        odd, even = -np.expm1(-2 * q) / 2, (1 + fast) / 2
        pair = (odd, even) if self._sign == 1 else (even, odd)
        return *pair, self._sign * fast

    def _two(self, q1, q2, c):
        middle, q12 = (q1 + q2) / 2, c * np.sqrt(q1 * q2)
        near, far = np.exp(q12 - middle), np.exp(-q12 - middle)
        odd, even = near * -np.expm1(-2 * q12) / 2, (near + far) / 2
        return (odd, even) if self._sign == 1 else (even, odd)


class Gelu(_Closed):
    """σ(z) = zΦ(z); derived here by differentiating E Φ(u₁)Φ(u₂)."""

    def _one(self, q):
        root = np.sqrt(1 + 2 * q)
        arc = np.arctan2(q, root) / (2 * np.pi)  # arcsin(q/(1 + q))
        t = 1 / (2 * np.pi * root)
        second = q / 4 + q * arc + 2 * q**2 * t / (1 + q)
        slope = 1 / 4 + arc + 2 * q * t / (1 + q) + q * t / (1 + 2 * q)
        stretch = 1 / 4 + arc + q * t / (1 + q)
        stretch += t * (4 * q / (1 + q) - 2 * q**2 / (1 + q) ** 2
                        - 2 * q**2 / ((1 + q) * (1 + 2 * q)))  # fmt: skip
        return second, slope, stretch

    def _two(self, q1, q2, c):
        p = c * np.sqrt(q1 * q2)
        root = np.sqrt(1 + q1 + q2 + q1 * q2 * (1 - c) * (1 + c))
        arc = np.arctan2(p, root) / (2 * np.pi)
        k = 1 / (1 + q1) + 1 / (1 + q2) - 1
        top = q1 * q2 + k * p**2
        value = p * (1 / 4 + arc) + top / (2 * np.pi * root)
        slope = 1 / 4 + arc + (p + 2 * k * p) / (2 * np.pi * root)
        return value, slope + top * p / (2 * np.pi * root**3)


class HardTanh(Quadrature):
    """σ(z) = min(max(z, −1), 1): single moments in closed form, pairs by the series."""

    def _single(self, q: float):
        from scipy.special import ndtr

        if q == 0:
            return np.array([0.0, 1.0, 1.0]), np.zeros(3)
        r = 1 / np.sqrt(q)
        inside = 1 - 2 * ndtr(-r)
        linear = inside - 2 * r * np.exp(-(r**2) / 2) / np.sqrt(2 * np.pi)
        values = np.array([q * linear + 2 * ndtr(-r), inside, linear])
        return values, ROUNDING * np.array([1.0, 1.0, 1.0])


def angle(c: np.ndarray) -> np.ndarray:
    """arccos c, to full precision near c = 1, too."""
    near = 2 * np.arcsin(np.sqrt(np.maximum(1 - np.abs(c), 0) / 2))
    return np.where(c >= 0, near, np.pi - near)


_CLOSED = {
    "relu": Rectifier,
    "leaky_relu": Rectifier,
    "identity": Rectifier,
    "erf": ErrorFunction,
    "sine": Trigonometric,
    "cosine": Trigonometric,
    "gelu": Gelu,
    "hard_tanh": lambda activation: HardTanh(nonlinearity(activation)),
}
