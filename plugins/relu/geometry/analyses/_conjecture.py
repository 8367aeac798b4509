"""A proof of Tian's Conjecture 1 by branch and bound in ball arithmetic (Arb, by python-flint).

The sign of L₁₂ is that of Δ (`_two_neurons`), for 0 < θ < π: it must be positive for 0 < φ < θ and
negative for θ < φ < 2π. Natural enclosures of Δ decide the sign where it is not small. Elsewhere:

- Δ vanishes on the lines φ = 0 and φ = θ for every θ (Prop. 1). Near them the sign of ∂Δ/∂φ is
  proved instead, up to and across the line, which gives that of Δ on both sides.
- Δ vanishes at θ = 0, to the order θ³ at a fixed φ, as u = −h' makes the terms in θ² cancel, and
  to θ⁴ where φ or φ − π is a fixed multiple of θ. So Δ/θ³ or Δ/θ⁴ is enclosed, by Taylor
  expansion in θ at 0 with Lagrange's remainder; likewise ∂Δ/∂φ, over θ³ in both cases.
- At θ = π it vanishes at φ = π only. With ε = π − θ and φ = π − tε it is Δ/ε² that is enclosed,
  and (∂Δ/∂φ)/ε; and beyond, signs of factors.

A *sheet* (a chart) is a rectangle of two coordinates on which one expression must have one sign;
together the sheets cover 0 < θ < π, 0 ≤ φ ≤ 2π, so that the conjecture is proved without an
exception where no box is left undecided. `_coverage` measures from the boxes whether they do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from flint import arb, arb_series, ctx

from ..._kernel import arc_cosine, arc_cosine_slope

NEAR = 0.5
"""Sheets at the ends reach to θ = NEAR and to θ = π − NEAR."""
STRIP = 0.15
"""Half the width, in φ, of the strips around the two lines where Δ vanishes; less than NEAR/2."""
CORNER = 0.6
"""Reach, in φ, of the sheets at φ = 0 and φ = π where θ is near an end; more than NEAR."""
ORDERS = 4
"""Terms of a Taylor expansion besides the remainder."""
LONGEST = 4 + ORDERS + 1
"""Coefficients of the longest power series: its order, further terms and the remainder."""
ABOVE_PI = math.nextafter(math.pi, 4)
"""The float just above π: a sheet that must reach π ends there."""

Enclosure = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Sheet:
    """An expression of (x, t) that must have one sign on a rectangle.

    angles: (x, t) ↦ (θ, φ), affine in x at each t and in t at each x. shows: "value" where the
    expression has the sign of Δ, "slope" where it has that of ∂Δ/∂φ near a line on which Δ
    vanishes (or, at φ = π, is known to have the right sign). half: the expression is Δ's for
    t ≥ x only, and is continued below.
    """

    name: str
    shows: str
    sign: int
    x: tuple[float, float]
    t: tuple[float, float]
    enclosure: Enclosure
    angles: Callable[[Any, Any], tuple[Any, Any]]
    half: bool = False


@dataclass
class Partition:
    """Boxes (x_low, x_high, t_low, t_high) of a sheet: decided ones, and those that were not."""

    decided: list[tuple[float, float, float, float]] = field(default_factory=list)
    undecided: list[tuple[float, float, float, float]] = field(default_factory=list)


def prove(sheet: Sheet, precision: int, most_splits: int) -> Partition:
    """Halve the sheet until each box is decided, or was halved `most_splits` times. precision:
    bits of the ball arithmetic."""
    boxes = Partition()
    width, height = sheet.x[1] - sheet.x[0], sheet.t[1] - sheet.t[0]
    todo = [(*sheet.x, *sheet.t, 0)]
    with _arithmetic(precision):
        while todo:
            a, b, c, d, splits = todo.pop()
            if sheet.sign * sheet.enclosure(ball(a, b), ball(c, d)) > 0:
                boxes.decided.append((a, b, c, d))
            elif splits == most_splits:
                boxes.undecided.append((a, b, c, d))
            elif (b - a) * height >= (d - c) * width:
                middle = (a + b) / 2
                todo += [(a, middle, c, d, splits + 1), (middle, b, c, d, splits + 1)]
            else:
                middle = (c + d) / 2
                todo += [(a, b, c, middle, splits + 1), (a, b, middle, d, splits + 1)]
    return boxes


@contextmanager
def _arithmetic(precision: int) -> Iterator[None]:
    """Bits of balls, and the longest power series, for a while."""
    before, ctx.cap = ctx.cap, LONGEST
    try:
        with ctx.workprec(precision):
            yield
    finally:
        ctx.cap = before


def ball(low: Any, high: Any) -> arb:
    """A ball that contains the interval."""
    return arb(low).union(arb(high))


# h, u and u' on one side of 0: `side` is +1 for 0 ≤ x ≤ π and −1 for −π ≤ x ≤ 0. They take balls,
# and power series in θ, whose coefficients are balls.


def kernel(x, side):
    """h(x) = (π − |x|) cos x + sin|x|."""
    return arc_cosine(side * x, x.cos(), side * x.sin(), arb.pi())


def slope(x, side):
    """u(x) = −h'(x) = (π − |x|) sin x."""
    return arc_cosine_slope(side * x, x.sin(), arb.pi())


def bend(x, side):
    """u'(x) = (π − |x|) cos x − sin|x|."""
    return (arb.pi() - side * x) * x.cos() - side * x.sin()


def determinant(theta, kernel_phi, slope_phi, kernel_apart):
    """Δ, from h(φ), u(φ) and h(φ − θ)."""
    size = kernel(theta, 1)
    gap = arb.pi() * arb.pi() - size * size
    return gap * slope_phi - slope(theta, 1) * (arb.pi() * kernel_apart - size * kernel_phi)


def determinant_slope(theta, slope_phi, bend_phi, slope_apart):
    """∂Δ/∂φ, from u(φ), u'(φ) and u(φ − θ)."""
    size = kernel(theta, 1)
    gap = arb.pi() * arb.pi() - size * size
    return gap * bend_phi + slope(theta, 1) * (arb.pi() * slope_apart - size * slope_phi)


def _anywhere(function, angle: arb) -> arb:
    """h, u or u' over a ball of angles in [−2π, 2π], which may lie across 0 or ±π."""
    total = None
    for turns, side, low, high in ((0, 1, 0, 1), (0, -1, -1, 0), (-2, -1, 1, 2), (2, 1, -2, -1)):
        if angle < low * arb.pi() or angle > high * arb.pi():
            continue
        part = function(angle + turns * arb.pi(), side)
        total = part if total is None else total.union(part)
    return total


def _natural(angles, shows: str) -> Enclosure:
    """Δ or ∂Δ/∂φ at angles(x, t) = (θ, φ)."""

    def enclose(x, t):
        theta, phi = angles(x, t)
        apart = phi - theta
        if shows == "slope":
            return determinant_slope(
                theta, _anywhere(slope, phi), _anywhere(bend, phi), _anywhere(slope, apart)
            )
        return determinant(
            theta, _anywhere(kernel, phi), _anywhere(slope, phi), _anywhere(kernel, apart)
        )

    return enclose


def _expanded(branch, shows: str, order: int) -> Enclosure:
    """Δ or ∂Δ/∂φ over x^order, whose coefficients of lower order are known to be zero.

    branch: (x, t) ↦ (θ, φ, side of φ, φ − θ, side of φ − θ), with x a power series.
    """
    last = order + ORDERS

    def series(start: arb, t: arb):
        x = arb_series([start, 1], prec=last + 1)
        theta, phi, side, apart, side_apart = branch(x, t)
        if shows == "slope":
            parts = slope(phi, side), bend(phi, side), slope(apart, side_apart)
            return determinant_slope(theta, *parts)
        parts = kernel(phi, side), slope(phi, side), kernel(apart, side_apart)
        return determinant(theta, *parts)

    def enclose(x, t):
        terms, total = series(arb(0), t), series(ball(0, x.upper()), t)[last]
        for power in range(last - 1, order - 1, -1):
            total = terms[power] + x * total
        return total

    return enclose


def sheets() -> Iterator[Sheet]:
    """All of them: first those between the ends, then those at θ = 0 and at θ = π."""
    yield from _between()
    yield from _at_zero()
    yield from _at_pi()


def _natural_sheet(name, shows, sign, x, t, angles) -> Sheet:
    return Sheet(name, shows, sign, x, t, _natural(angles, shows), angles)


def _between() -> Iterator[Sheet]:
    pi, middle = arb.pi, (NEAR, ABOVE_PI - NEAR)
    strip = (-STRIP, STRIP)

    def inside(x, t):
        return x, STRIP + t * (x - 2 * STRIP)

    def outside(x, t):
        return x, x + STRIP + t * (2 * pi() - x - 2 * STRIP)

    # at φ = 0 nothing happens as θ → π
    yield _natural_sheet("e* near e1", "slope", 1, (NEAR, ABOVE_PI), strip, lambda x, t: (x, t))
    yield _natural_sheet("e* near e2", "slope", -1, middle, strip, lambda x, t: (x, x + t))
    yield _natural_sheet("inside", "value", 1, middle, (0, 1), inside)
    yield _natural_sheet("outside", "value", -1, middle, (0, 1), outside)


def _at_zero() -> Iterator[Sheet]:
    """φ is t·θ, t, π + t·θ, and t + π, in turn; each with the branches that hold there."""
    pi = arb.pi

    def scaled(x, t):
        return x, x * t, 1, x * t - x, -1

    def beyond(x, t):
        return x, 0 * x + t, 1, t - x, 1

    def opposite(x, t):
        return x, x * t - pi(), -1, x * t - x + pi(), 1

    def behind(x, t):
        return x, 0 * x + t - pi(), -1, t - pi() - x, -1

    far = math.pi - CORNER
    for name, branch, shows, order, sign, t in (
        ("inside, from e1", scaled, "slope", 3, 1, (0, 0.3)),
        ("inside", scaled, "value", 4, 1, (0.3, 0.6)),
        ("inside, to e2", scaled, "slope", 3, -1, (0.6, 1)),
        ("from e2", beyond, "slope", 3, -1, (0, CORNER)),
        ("beyond e2", beyond, "value", 3, -1, (CORNER, far)),
        # Δ(θ, π) = −πu(θ)h(π − θ) < 0, and Δ falls towards it as φ does from π
        ("to -e1", beyond, "slope", 3, 1, (far, ABOVE_PI)),
        ("between -e1 and -e2", opposite, "value", 4, -1, (0, 1)),
        ("from -e2", behind, "slope", 3, -1, (0, CORNER)),
        ("beyond -e2", behind, "value", 3, -1, (CORNER, far)),
        ("to e1", behind, "slope", 3, 1, (far, ABOVE_PI)),
    ):
        enclosure = _expanded(branch, shows, order)
        half = name in ("from e2", "from -e2")
        yield Sheet(
            f"{name}, θ near 0", shows, sign, (0, NEAR), t, enclosure, _angles(branch), half
        )


def _angles(branch):
    """(x, t) ↦ (θ, φ) of a branch, with φ in [0, 2π]."""

    def angles(x, t):
        theta, phi, side, *_ = branch(x, t)
        return theta, phi if side > 0 else phi + 2 * arb.pi()

    return angles


def _at_pi() -> Iterator[Sheet]:
    """θ = π − x. The signs of factors that do not change: u(θ) > 0 and h ≥ 0."""
    pi, near = arb.pi, (0, NEAR)

    def scaled(x, t):
        return pi() - x, pi() - t * x, 1, x - t * x, 1

    def inside(x, t):
        return pi() - x, STRIP + t * (pi() - STRIP - CORNER)

    def outside(x, t):
        return pi() - x, pi() + CORNER + t * (pi() - CORNER - STRIP)

    def to_e2(x, t):
        return pi() - x, pi() - t

    def beyond(x, t):
        return pi() - x, pi() + t

    def fall(x, t):
        """−(∂Δ/∂φ)/t ≥ (π² − h²)(cos t + sin t/t) for x ≤ t ≤ CORNER: the rest is −u(θ) times
        πu(φ − θ) ≤ 0 less h(θ)u(φ) ≥ 0."""
        size = kernel(pi() - x, 1)
        return -(pi() * pi() - size * size) * (t.cos() + t.sinc())

    def bracket(x, t):
        """h(θ)h(φ) − πh(φ − θ) < 0, which u(θ) multiplies in Δ; the other term, u(φ)'s, is ≤ 0."""
        return kernel(pi() - x, 1) * kernel(pi() - t, 1) - pi() * kernel(x + t, 1)

    yield _natural_sheet("inside, θ near π", "value", 1, near, (0, 1), inside)
    yield _natural_sheet("outside, θ near π", "value", -1, near, (0, 1), outside)
    for name, shows, order, t in (
        ("from e2, θ near π", "slope", 1, (0.5, 1)),
        ("to -e1, θ near π", "value", 2, (0, 0.5)),
    ):
        enclosure = _expanded(scaled, shows, order)
        yield Sheet(name, shows, -1, near, t, enclosure, _angles(scaled))
    yield Sheet("to e2, θ near π", "slope", -1, near, (0, CORNER), fall, to_e2, half=True)
    yield Sheet("from -e1, θ near π", "value", -1, near, (0, CORNER), bracket, beyond)


def corners(every: Sequence[Sheet], sheet: np.ndarray, boxes: np.ndarray) -> tuple:
    """θ and φ of the four corners of boxes (box, bound) on the sheets of those indices (box,), in
    turn around each box, to float64: (box, corner) twice."""
    points = boxes[:, [[0, 2], [1, 2], [1, 3], [0, 3]]]
    angles = [
        [tuple(map(float, every[index].angles(arb(x), arb(t)))) for x, t in box]
        for index, box in zip(sheet.tolist(), points.tolist(), strict=True)
    ]
    theta, phi = np.moveaxis(np.array(angles), 2, 0)
    return theta, phi
