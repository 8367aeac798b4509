"""Means of independent variables: law of large numbers, central limit and large deviations."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator

import nnflow
from nnflow import Analysis, Streams, mean

from .._deviations import log_lattice, log_prefactor, rate, sampled_log_tail
from .._laws import Law

CURVE = 80
"""Points of the rate functions that are drawn."""
CLOSED_RATES = {
    "signs": lambda x: ((1 + x) * np.log1p(x) + (1 - x) * np.log1p(-x)) / 2,
    "gaussian": lambda x: x**2 / 2,
    "exponential": lambda x: x - np.log1p(x),
}
"""I(x) in closed form, of N(0, 1) among them."""


class Concentration(Analysis):
    """Tails P(η_n/n > x) of `laws`, exact where a closed form is known, by importance sampling for
    all, and by their asymptotic formulas.

    Over (law, n): `log_exact`, `log_sampled` with `_low`, `_high` (99 %), `log_first` and
    `log_second`, the formula of Bahadur and Ranga Rao to the first and second order (for ±1 the
    lattice formula, and NaN), `log_density_formula`, the first order at x whatever the law. `rate`
    (law, point) over `x_of_rate`; `distance` (law, n) is the largest |P(η_n ≤ y√n) − Φ(y/σ)|, where
    exact; `spread` (law, n) the mean |η_n/n|, with an interval.
    """

    @property
    def columns(self):
        columns = {
            "rate_error": "largest relative error of I(x) by Legendre transform, closed ones",
            "signs_weak_exponent": "−ln P(η_n/n ≥ x)/n of ±1 at the largest n",
            "signs_rate_at_one": "I(1) of ±1",
            "distance_of_signs": "√n × largest distance of ±1 from the normal law, largest n",
            "distance_of_exponential": "the same of Exp(1) − 1",
            "rarest": "the least probability that was measured, log₁₀",
            "rarest_ratio": "measured over exact probability there, N(0, 1)",
            "signs_density_ratio": "exact over the formula for densities, ±1, largest n",
        }
        for name in self.names:
            columns |= {
                f"{name}_rate": f"I(x), {name}",
                f"{name}_exponent": f"−ln P/n at the largest n, {name}",
                f"{name}_ratio": f"P over its first-order formula at the largest n, {name}",
                f"{name}_next": f"n(ratio − 1) at the largest n, {name}",
                f"{name}_spread_slope": f"slope of ln mean |η_n/n| in ln n, {name}",
                f"{name}_sampled": f"geometric mean over n of measured over exact P, {name}",
            }
        return columns

    laws: Annotated[list[Law], Field(min_length=1)]
    """Laws of ξ."""
    x: PositiveFloat = 0.3
    """x, taken as an exact decimal number."""
    n: Annotated[list[PositiveInt], Field(min_length=2)] = [50, 200, 1000]
    """Numbers of variables."""
    runs: PositiveInt = 20_000
    """Sums drawn for each law and n."""
    rare_x: PositiveFloat = 0.36
    """x of the rarest event, for N(0, 1) at the largest n."""

    @field_validator("laws")
    @classmethod
    def _has_a_moment_generating_function(cls, laws):
        for law in laws:
            if law.name == "student":
                raise ValueError(
                    "law 'student' has no moment generating function: it can't be tilted,"
                    " and I(x) = 0"
                )
        return laws

    @property
    def names(self) -> list[str]:
        return [law.name for law in self.laws]

    def compute(self, results):
        import xarray as xr

        x = Fraction(str(self.x))
        parts = [self._of(results, law, x) for law in self.laws]
        dataset = xr.concat(parts, "law").assign_coords(law=self.names, n=self.n)
        table = nnflow.Table(results, self.columns)
        for law in self.laws:
            table.everywhere(**self._columns(law, dataset.sel(law=law.name)))
        table.everywhere(**self._rare(results), **self._more(x, dataset))
        return table.dataset().merge(dataset)

    def _generator(self, results, law: Law, purpose: str) -> np.random.Generator:
        """NumPy's generator on the streams' key; of sums no run is ever left out."""
        streams = Streams(results.study.settings.seed, law.name, np.arange(1), purpose)
        return np.random.Generator(np.random.Philox(key=np.array(streams.key, dtype=np.uint64)))

    def _of(self, results, law: Law, x: Fraction):
        import xarray as xr

        generator = self._generator(results, law, "tails")
        with np.errstate(divide="ignore"):
            exact = np.log([law.tail(n, x) for n in self.n])
        sampled = np.array([sampled_log_tail(law, generator, n, x, self.runs) for n in self.n])
        density, order = np.array([log_prefactor(law, n, float(x)) for n in self.n]).T
        with np.errstate(invalid="ignore"):
            second = density + np.log1p(np.maximum(order / self.n, -1 + 1e-9))
        lattice = law.name == "signs"
        first = np.array([log_lattice(n, x) for n in self.n]) if lattice else density
        spread = np.array([self._spread(law, generator, n) for n in self.n])
        points = np.linspace(0.01, min(law.highest, 2.0) - 0.005, CURVE)
        return xr.Dataset(
            {
                "log_exact": ("n", exact),
                **{f"log_sampled{end}": ("n", sampled[:, i]) for i, end in enumerate(ENDS)},
                "log_first": ("n", first),
                "log_second": ("n", np.full(len(self.n), np.nan) if lattice else second),
                "next_order": np.nan if lattice else order[0],
                "log_density_formula": ("n", density),
                **{f"spread{end}": ("n", spread[:, i]) for i, end in enumerate(ENDS)},
                "distance": ("n", [_distance(law, n) for n in self.n]),
                "x_of_rate": ("point", points),
                "rate": ("point", [rate(law, at) for at in points]),
            }
        )

    def _spread(self, law: Law, generator, n: int):
        return mean(np.abs(law.tilted_sums(generator, 0.0, n, self.runs)) / n)

    def _columns(self, law: Law, found) -> dict:
        n, name = np.array(self.n), law.name
        exact = found["log_exact"].values
        sampled, low, high = (found[f"log_sampled{end}"].values for end in ENDS)
        known = np.isfinite(exact).all()
        log = np.where(known, exact, sampled)
        ratio = np.exp(log[-1] - found["log_first"].values[-1])
        ends = [np.exp(y[-1] - found["log_first"].values[-1]) for y in (low, high)]
        exponents = tuple(-y[-1] / n[-1] for y in (sampled, high, low))
        columns = {
            "rate": rate(law, self.x),
            "exponent": -exact[-1] / n[-1] if known else exponents,
            "ratio": ratio if known else (ratio, *ends),
            "next": n[-1] * (ratio - 1)
            if known
            else tuple(n[-1] * (y - 1) for y in (ratio, *ends)),
            "spread_slope": _slope(np.log(n), found),
        }
        if known:
            columns["sampled"] = _together(sampled - exact, (high - low) / 2)
        return {f"{name}_{key}": value for key, value in columns.items()}

    def _rare(self, results) -> dict:
        law, n = Law(name="gaussian"), self.n[-1]
        x = Fraction(str(self.rare_x))
        generator = self._generator(results, law, "rare")
        found = np.array(sampled_log_tail(law, generator, n, x, self.runs))
        exact = np.log(law.tail(n, x))
        return {"rarest": tuple(found / np.log(10)), "rarest_ratio": tuple(np.exp(found - exact))}

    def _more(self, x: Fraction, dataset) -> dict:
        n, signs = self.n[-1], Law(name="signs")
        errors = [
            abs(rate(Law(name=name), at) / closed(at) - 1)
            for name, closed in CLOSED_RATES.items()
            for at in (0.05, 0.3, 0.6, 0.9)
        ]
        exact = np.log(signs.tail(n, x))
        return {
            "rate_error": max(errors),
            "signs_weak_exponent": -np.log(signs.tail(n, x, strict=False)) / n,
            "signs_rate_at_one": rate(signs, 1.0),
            "distance_of_signs": np.sqrt(n) * _distance(signs, n),
            "distance_of_exponential": np.sqrt(n) * _distance(Law(name="exponential"), n),
            "signs_density_ratio": np.exp(exact - log_prefactor(signs, n, float(x))[0]),
        }


ENDS = ("", "_low", "_high")


def _distance(law: Law, n: int) -> float:
    """sup_y |P(η_n ≤ y) − Φ(y/√(n E ξ²))|, NaN where the law of η_n is not known."""
    from scipy.special import bdtr, gammainc, ndtr

    if law.name == "signs":  # at a jump, from both sides
        k = np.arange(n + 1)
        below, normal = bdtr(k, n, 0.5), ndtr((2 * k - n) / np.sqrt(n))
        return float(max(np.abs(below - normal).max(), np.abs(below[:-1] - normal[1:]).max()))
    if law.name == "exponential":
        y = np.linspace(-4, 4, 8001)
        inside = np.maximum(n + y * np.sqrt(n), 0)
        return float(np.abs(gammainc(n, inside) - ndtr(y)).max())
    return 0.0 if law.name == "gaussian" else np.nan


def _slope(log_n: np.ndarray, found) -> tuple[float, float, float]:
    """Least squares of ln spread in ln n, with the interval that the spreads' own intervals give:
    sums at different n are independent."""
    value, low, high = (found[f"spread{end}"].values for end in ENDS)
    pull = (log_n - log_n.mean()) / ((log_n - log_n.mean()) ** 2).sum()
    slope = float(pull @ np.log(value))
    half = float(np.sqrt(pull**2 @ ((high - low) / (2 * value)) ** 2))
    return slope, slope - half, slope + half


def _together(logs: np.ndarray, halves: np.ndarray) -> tuple[float, float, float]:
    """The geometric mean of independent ratios, with its interval."""
    centre, half = logs.mean(), np.sqrt((halves**2).sum()) / len(logs)
    return float(np.exp(centre)), float(np.exp(centre - half)), float(np.exp(centre + half))


@nnflow.hookimpl
def nnflow_register(register):
    register("concentration", Concentration)
