"""Balls that carry a gradient, and functions of them that are analytic at 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from flint import arb, arb_mat, ctx

from ._arithmetic import Arithmetic

TERMS = 40
"""Terms of a power series; what follows is enclosed by a geometric series."""
SERIES_UP_TO = 0.5
"""Arguments up to which the series are used; beyond, closed formulas lose no digits."""


class Dual(Arithmetic):
    """A ball and its gradient (1, n), by forward differentiation; no gradient: a constant."""

    __slots__ = ("slope", "value")

    def __init__(self, value: arb, slope: arb_mat | None = None) -> None:
        self.value, self.slope = value, slope

    def chain(self, value: arb, derivative: arb) -> Dual:
        """f of it, from f and f′ there."""
        return Dual(value, None if self.slope is None else self.slope * derivative)

    def __add__(self, other):
        if isinstance(other, Dual):
            return Dual(self.value + other.value, _sum(self.slope, other.slope))
        return Dual(self.value + other, self.slope)

    def __mul__(self, other):
        if isinstance(other, Dual):
            left = None if self.slope is None else self.slope * other.value
            right = None if other.slope is None else other.slope * self.value
            return Dual(self.value * other.value, _sum(left, right))
        return self.chain(self.value * other, other)

    def __truediv__(self, other):
        return self * (1 / other)

    def __rtruediv__(self, other):
        value = 1 / self.value
        return other * self.chain(value, -value * value)

    def sqrt(self) -> Dual:
        value = self.value.sqrt()
        return self.chain(value, 1 / (2 * value))


def _sum(left: arb_mat | None, right: arb_mat | None) -> arb_mat | None:
    if left is None or right is None:
        return left if right is None else right
    return left + right


def asin_ratio(square):
    """arcsin(x)/x as a function of x² ≥ 0, for a ball or a dual; NaN balls for x ≥ 1."""
    return _apply(square, _asin_coefficients, _asin_closed)


def atan_rest(square):
    """(x − arctan x)/x³ as a function of x² ≥ 0, for a ball or a dual."""
    return _apply(square, _atan_coefficients, _atan_closed)


def _apply(square, coefficients: Callable, closed: Callable):
    x = square.value if isinstance(square, Dual) else square
    small = x.abs_upper() < SERIES_UP_TO
    value, derivative = _series(x, coefficients(ctx.prec)) if small else closed(x)
    return square.chain(value, derivative) if isinstance(square, Dual) else value


def _series(x: arb, coefficients: list[arb]) -> tuple[arb, arb]:
    """Σ c_j x^j and its derivative; |c_j| ≤ 1."""
    top = arb(x.abs_upper())
    value, derivative = arb(0), arb(0)
    for j in reversed(range(TERMS)):
        derivative = derivative * x + value
        value = value * x + coefficients[j]
    gap = 1 - top
    tail = top**TERMS / gap
    slope = top ** (TERMS - 1) * (TERMS / gap + top / gap**2)
    return value + arb(0, 1) * tail, derivative + arb(0, 1) * slope


@cache
def _asin_coefficients(precision: int) -> list[arb]:
    found, factor = [], arb(1)
    for j in range(TERMS):
        found.append(factor / (2 * j + 1))
        factor = factor * (2 * j + 1) / (2 * j + 2)
    return found


@cache
def _atan_coefficients(precision: int) -> list[arb]:
    return [arb((-1) ** j) / (2 * j + 3) for j in range(TERMS)]


def _asin_closed(square: arb) -> tuple[arb, arb]:
    x = square.sqrt()
    value = x.asin() / x
    return value, (1 / (1 - square).sqrt() - value) / (2 * square)


def _atan_closed(square: arb) -> tuple[arb, arb]:
    x = square.sqrt()
    value = (x - x.atan()) / (square * x)
    return value, (1 / (1 + square) - 3 * value) / (2 * square)
