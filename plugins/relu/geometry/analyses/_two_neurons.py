"""Tian's separation function L₁₂ for two neurons, as one determinant.

With e₁, e₂ at the angles 0 and θ, and e* at φ, all in one plane, Eq. 14 of Tian (2017) becomes

    L₁₂ = sin θ · Δ(θ, φ)/(π² − h(θ)²),
    Δ(θ, φ) = (π² − h(θ)²) u(φ) − u(θ) [π h(φ−θ) − h(θ) h(φ)],

where h(x) = (π − |x|) cos x + sin|x| is the kernel and u = −h' is its slope,
u(x) = (π − |x|) sin x, both of period 2π from their values on [−π, π]. Δ is the determinant of
(π, h(θ), h(φ)), (h(θ), π, h(φ−θ)), (0, u(θ), u(φ)): it vanishes where e* = e₁ or e* = e₂
(Prop. 1), and has the sign of L₁₂ for 0 < θ < π. By the reflection that swaps e₁ and e₂,
L₂₁(θ, φ) = L₁₂(θ, θ − φ).

Derivation: with m = (π cos θ, π − θ + sin θ cos θ) the solution of M_r x = m is
x₂ = πγ, x₁ = cos θ − h(θ)γ with γ = (π − θ) sin²θ/(π² − h(θ)²), since
π − θ + sin θ cos θ − h(θ) cos θ = (π − θ) sin²θ; and m* − h(θ*₁) cos θ is
(π − θ*₁)(cos θ*₂ − cos θ cos θ*₁) = sin θ u(φ).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..._kernel import arc_cosine, arc_cosine_slope

ROUNDING = 16 * np.finfo(float).eps
"""Rounding error of L₁₂ relative to the largest magnitude that its three terms can have, π sin θ
+ γ·2π². Seven operations and three table values, each good to a few units of the last place,
stay below 16 units; `analyses/separation_grid` sweeps the factor."""


def wrapped(angle: np.ndarray) -> np.ndarray:
    """The angle plus that multiple of 2π that brings it into [−π, π]: none where it is there."""
    return angle - 2 * np.pi * np.round(angle / (2 * np.pi))


def kernel(angle: np.ndarray) -> np.ndarray:
    """h(x) = (π − |x|) cos x + sin|x|, from π at 0 to 0 at ±π."""
    size = np.abs(wrapped(angle))
    return arc_cosine(size, np.cos(size), np.sin(size))


def slope(angle: np.ndarray) -> np.ndarray:
    """u(x) = −h'(x) = (π − |x|) sin x."""
    inside = wrapped(angle)
    return arc_cosine_slope(np.abs(inside), np.sin(inside))


def kernel_gap(angle: np.ndarray) -> np.ndarray:
    """π² − h(x)², without cancellation at small x: π − h = 2π sin²(x/2) + |x| cos x − sin|x|."""
    size = np.abs(wrapped(angle))
    # what is left of x cos x − sin x = −x³/3 + x⁵/30 − … below 0.01 is exact to 1e-16
    series = -(size**3) / 3 + size**5 / 30 - size**7 / 840
    rest = np.where(size < 0.01, series, size * np.cos(size) - np.sin(size))
    below = 2 * np.pi * np.sin(size / 2) ** 2 + rest
    return below * (2 * np.pi - below)


def separation(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """L₁₂ for angles θ in (0, π) and φ, broadcast against one another."""
    ratio = slope(theta) * np.sin(theta) / kernel_gap(theta)
    off = np.pi * kernel(phi - theta) - kernel(theta) * kernel(phi)
    return np.sin(theta) * slope(phi) - ratio * off


@dataclass(frozen=True)
class Grid:
    """L₁₂ and L₂₁ at the centres of `rows` cells in θ ∈ [0, π] and `columns` in φ ∈ [0, 2π].

    θ_i = (2i + 1)q and φ_j = (2j + 1)sq, in units q of half a cell in θ, where s = 2·rows/columns
    must be whole. Then φ − θ lies on the same lattice, so that all trigonometric functions come
    from tables of one dimension, and a point costs seven additions and multiplications; and
    whether it lies inside the cone is known from whole numbers. Rows are streamed: memory is that
    of a few rows.
    """

    rows: int
    columns: int

    @property
    def stride(self) -> int:
        """s: cells of θ in a cell of φ."""
        return 2 * self.rows // self.columns

    @property
    def unit(self) -> float:
        """q, half a cell in θ."""
        return np.pi / (2 * self.rows)

    @cached_property
    def theta(self) -> np.ndarray:
        """(row,)."""
        return (2 * np.arange(self.rows) + 1) * self.unit

    @cached_property
    def phi_units(self) -> np.ndarray:
        """(column,) φ in units q."""
        return (2 * np.arange(self.columns) + 1) * self.stride

    @cached_property
    def _tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """h and u at the columns; and at φ − θ, by the residue of θ among the columns."""
        # rows that differ by a multiple of s meet the same differences, shifted by columns
        steps = np.arange(-self._back, self.columns) * 2 * self.stride
        start = self.stride - (2 * np.arange(self.stride)[:, None] + 1)
        at_phi, slope_at_phi, _ = self._at(self.phi_units)
        apart, slope_apart, _ = self._at(steps + start)
        return at_phi, slope_at_phi, apart, slope_apart

    @property
    def _back(self) -> int:
        """Columns of differences below 0."""
        return -(-self.rows // self.stride)

    def _at(self, units: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """h, u and |sin| at whole numbers of units, to the last digits also near 0 and ±π, which
        is 2·rows units: their distance from π is a whole number too."""
        half = 2 * self.rows
        signed = (units + half) % (2 * half) - half
        size = np.abs(signed)
        rest = (half - size) * self.unit
        sine = np.sin(np.minimum(size, half - size) * self.unit)
        value = rest * np.cos(size * self.unit) + sine
        return value, np.sign(signed) * rest * sine, sine

    @cached_property
    def _at_theta(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(row,) h(θ), sin θ and γ, the ratio of u(θ) sin θ and π² − h(θ)²."""
        value, slope_value, sine = self._at(2 * np.arange(self.rows) + 1)
        return value, sine, slope_value * sine / kernel_gap(self.theta)

    def inside(self, row: int) -> tuple[int, int]:
        """Columns first … last−1 are strictly inside the cone, 0 < φ < θ."""
        return 0, int(np.searchsorted(self.phi_units, 2 * row + 1, side="left"))

    def edge(self, row: int) -> int | None:
        """The column with φ = θ exactly, if there is one."""
        _, last = self.inside(row)
        on = last < self.columns and self.phi_units[last] == 2 * row + 1
        return last if on else None

    def tolerance(self, row: int) -> float:
        """Below this, |L| may be rounding: `ROUNDING` times the magnitude of its terms."""
        _, sine, ratio = self._at_theta
        return ROUNDING * (np.pi * sine[row] + 2 * np.pi**2 * ratio[row])

    def row(self, row: int, out: np.ndarray, spare: np.ndarray) -> np.ndarray:
        """L₁₂ and L₂₁ of one row, (2, column), written into `out`; spare: (column,)."""
        at_phi, slope_at_phi, apart, slope_apart = self._tables
        first = self._back - row // self.stride
        window = slice(first, first + self.columns)
        apart, slope_apart = (
            apart[row % self.stride, window],
            slope_apart[row % self.stride, window],
        )
        own, sine, ratio = (values[row] for values in self._at_theta)
        for index, (rise, near, far, sign) in enumerate(
            ((slope_at_phi, at_phi, apart, 1), (slope_apart, apart, at_phi, -1))
        ):
            line = np.multiply(rise, sign * sine, out=out[index])
            line += np.multiply(near, ratio * own, out=spare)
            line -= np.multiply(far, ratio * np.pi, out=spare)
        return out
