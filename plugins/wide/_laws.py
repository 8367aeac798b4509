"""Laws of one variable ξ with E ξ = 0, and the sums of n copies: exact tails, and tilted laws.

K(t) = ln E e^{tξ} is the cumulant generating function. The law tilted by t has the density
e^{tξ − K(t)} against the first one, the mean K'(t) and the variance K''(t).
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat, model_validator

from nnflow import Settings, UserError


class Law(Settings):
    """A law by its name; `scale`, `values` and `probabilities` where the law has them."""

    name: Literal["signs", "gaussian", "exponential", "uniform", "laplace", "atoms", "student"]
    """±1; N(0, scale²); Exp(1) − 1; uniform on (−1, 1); density e^{−|s|}/2; finitely many values;
    Student's with 4 degrees of freedom, which has no moment generating function."""
    scale: PositiveFloat = 1.0
    """Standard deviation of `gaussian`."""
    values: Annotated[list[float], Field(max_length=1000)] = []
    """Values of `atoms`, with mean 0."""
    probabilities: list[PositiveFloat] = []
    """Their probabilities."""

    @model_validator(mode="after")
    def _atoms(self):
        if (self.name == "atoms") != bool(self.values):
            raise ValueError("values: those of `atoms`, and of no other law")
        if len(self.values) != len(self.probabilities):
            raise ValueError("probabilities: one for each of the values")
        if self.values:
            p, v = np.array(self.probabilities), np.array(self.values)
            if abs(p.sum() - 1) > 1e-12 or abs(p @ v) > 1e-12 * np.abs(v).max():
                raise ValueError("atoms: probabilities must add up to 1, and the mean must be 0")
        return self

    @property
    def end(self) -> float:
        """t below this has a moment generating function."""
        return {"exponential": 1.0, "laplace": 1.0}.get(self.name, np.inf)

    @property
    def highest(self) -> float:
        """The upper end of the support."""
        if self.name == "atoms":
            return max(self.values)
        return {"signs": 1.0, "uniform": 1.0}.get(self.name, np.inf)

    @property
    def at_highest(self) -> float:
        """P(ξ = the upper end of the support)."""
        if self.name == "atoms":
            return dict(zip(self.values, self.probabilities, strict=True))[self.highest]
        return 0.5 if self.name == "signs" else 0.0

    def cumulants(self, t: float) -> np.ndarray:
        """K, K', K'', K''', K'''' at t < `end`.

        Raises UserError for a law without a moment generating function.
        """
        if self.name == "student":
            raise UserError(
                "law 'student': has no moment generating function, E e^(tξ) = ∞ for every t > 0;"
                " its tails fall as powers, and I(x) = 0"
            )
        return np.array(_CUMULANTS[self.name](self, t))

    def tilted_sums(self, generator: np.random.Generator, t: float, n: int, runs: int):
        """Sums of n independent copies of the law tilted by t, (run,); whole numbers for ±1."""
        return _SUMS[self.name](self, generator, t, n, runs)

    def tail(self, n: int, x: Fraction, strict: bool = True) -> float:
        """P(η_n > nx), or ≥; NaN where no closed form is known."""
        return _TAILS[self.name](self, n, x, strict) if self.name in _TAILS else np.nan


def threshold(n: int, x: Fraction, strict: bool) -> int:
    """The smallest of n, n − 2, … above nx (or not below it): in whole numbers, as 0.3·n in
    floating point may lie on the wrong side."""
    least = n * x
    k = n - 2 * ((n - least) // 2)
    return int(k + 2) if strict and k == least else int(k)


def _signs(_, t):
    m, v = np.tanh(t), 1 / np.cosh(t) ** 2
    log_cosh = abs(t) + np.log1p(np.exp(-2 * abs(t))) - np.log(2)
    return log_cosh, m, v, -2 * m * v, v * (6 * m**2 - 2)


def _gaussian(law, t):
    v = law.scale**2
    return v * t**2 / 2, v * t, v, 0.0, 0.0


def _exponential(_, t):
    r = 1 / (1 - t)
    return -t - np.log1p(-t), t * r, r**2, 2 * r**3, 6 * r**4


def _laplace(_, t):
    a, b = 1 / (1 - t), 1 / (1 + t)
    return -np.log1p(-(t**2)), a - b, a**2 + b**2, 2 * (a**3 - b**3), 6 * (a**4 + b**4)


def _uniform(_, t):
    if abs(t) < 0.1:  # the closed forms cancel: the series, whose first left out term is 1e-12
        c = (1 / 6, -1 / 180, 1 / 2835, -1 / 37800, 1 / 467775, -691 / 3831077250)
        series = np.polynomial.Polynomial([y for one in c for y in (0.0, one)], symbol="t")
        even = np.polynomial.Polynomial([0.0, *series.coef])
        return tuple(float(even.deriv(k)(t)) if k else float(even(t)) for k in range(5))
    coth, csch = 1 / np.tanh(t), 1 / np.sinh(t)
    size = abs(t)
    log = size + np.log1p(-np.exp(-2 * size)) - np.log(2 * size)
    third = 2 * coth * csch**2 - 2 / t**3
    fourth = 6 / t**4 - 4 * coth**2 * csch**2 - 2 * csch**4
    return log, coth - 1 / t, 1 / t**2 - csch**2, third, fourth


def _atoms(law, t):
    v, p = np.array(law.values), np.array(law.probabilities)
    top = (t * v).max()
    weights = p * np.exp(t * v - top)
    total = weights.sum()
    weights /= total
    m = weights @ v
    second, third, fourth = (weights @ (v - m) ** k for k in (2, 3, 4))
    return top + np.log(total), m, second, third, fourth - 3 * second**2


_CUMULANTS = {
    "signs": _signs,
    "gaussian": _gaussian,
    "exponential": _exponential,
    "laplace": _laplace,
    "uniform": _uniform,
    "atoms": _atoms,
}


def _sums_of_signs(_, generator, t, n, runs):
    return 2 * generator.binomial(n, 1 / (1 + np.exp(-2 * t)), runs) - n


def _sums_of_gaussians(law, generator, t, n, runs):
    return n * law.scale**2 * t + law.scale * np.sqrt(n) * generator.standard_normal(runs)


def _sums_of_exponentials(_, generator, t, n, runs):
    return generator.gamma(n, 1 / (1 - t), runs) - n


def _sums_of_laplace(_, generator, t, n, runs):
    above = generator.binomial(n, (1 + t) / 2, runs)
    up = generator.standard_gamma(above) / (1 - t)
    return up - generator.standard_gamma(n - above) / (1 + t)


def _sums_of_uniforms(_, generator, t, n, runs):
    total = np.zeros(runs)
    for _ in range(n):
        u = generator.random(runs)
        # the distribution function of the density ∝ e^{ts} on (−1, 1), inverted
        total += 2 * u - 1 if t == 0 else -1 + np.log1p(u * np.expm1(2 * t)) / t
    return total


def _sums_of_atoms(law, generator, t, n, runs):
    v, p = np.array(law.values), np.array(law.probabilities)
    weights = p * np.exp(t * v - (t * v).max())
    return generator.multinomial(n, weights / weights.sum(), runs) @ v


_SUMS = {
    "signs": _sums_of_signs,
    "gaussian": _sums_of_gaussians,
    "exponential": _sums_of_exponentials,
    "laplace": _sums_of_laplace,
    "uniform": _sums_of_uniforms,
    "atoms": _sums_of_atoms,
}


def _tail_of_signs(_, n, x, strict):
    from scipy.special import betainc

    ups = (n + threshold(n, x, strict)) // 2
    return float(betainc(ups, n - ups + 1, 0.5)) if 0 < ups <= n else float(ups <= 0)


def _tail_of_gaussian(law, n, x, strict):
    from scipy.special import ndtr

    return float(ndtr(-float(x) * np.sqrt(n) / law.scale))


def _tail_of_exponential(_, n, x, strict):
    from scipy.special import gammaincc

    return float(gammaincc(n, float(n * (1 + x))))


_TAILS = {
    "signs": _tail_of_signs,
    "gaussian": _tail_of_gaussian,
    "exponential": _tail_of_exponential,
}
