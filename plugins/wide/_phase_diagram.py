"""q*, χ₁, a, c*, b and both depth scales over a grid of variances.

E σ², E σ'² and E σσ'z/q depend on q alone, and a fixed correlation on (q, c): so they are tabulated
once, by piecewise Chebyshev interpolation in ln q, and all cells are solved together.

Where ν has several fixed points, a cell has the one next to q = 1 in the direction in which ν moves
q = 1, which is where a monotone ν leads from there. A cell without one is NaN, and `reason` says
why. At q* = 0 there is no correlation map. Within rounding of χ₁ = 1, c* is 1 and ξ_c infinite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnflow import UserError

from ._moments import EPSILON, Moments, Quadrature

NOISE = 64 * EPSILON
"""Bound of the relative rounding error of a moment."""
REASONS = ("found", "no fixed point in the range", "zero", "critical")
"""`zero`: q* = 0, where the correlation map does not exist. `critical`: χ₁ = 1 within rounding."""
RANGE = (1e-8, 1e6)
"""Values of q that are searched, beside 0."""
GRID = 1401
"""Points of that range, at equal ratios (1 %), between which ν(q) − q is evaluated."""
DEGREE = 20
WIDTH = 0.8
"""Degree and widest panel of the interpolation: they leave 1e-14 for tanh (`Table.deviation`)."""
SMOOTH = 1e-12
"""Largest error of E σ'² by interpolated Hermite coefficients, relative."""
MEHLER = 1024
"""Coefficients of the Hermite series at most."""


@dataclass(frozen=True)
class Diagram:
    """Maps (weight variance, bias variance). `xi_q_error` and `xi_c_error` are bounds."""

    q: np.ndarray
    chi1: np.ndarray
    a: np.ndarray
    c: np.ndarray
    b: np.ndarray
    xi_q: np.ndarray
    xi_c: np.ndarray
    xi_q_error: np.ndarray
    xi_c_error: np.ndarray
    count: np.ndarray
    reason: np.ndarray


class Table:
    """Functions of q by piecewise Chebyshev interpolation in ln q.

    function: (q,) to (row, q). `size` (row, panel): its largest magnitude at the nodes, and
    `deviation` (row, panel): how far a point between nodes is from it.
    """

    def __init__(self, function, low: float, high: float) -> None:
        self.low, span = np.log(low), np.log(high / low)
        self.panels = int(np.ceil(span / WIDTH))
        self.width = span / self.panels
        x = np.cos(np.pi * (np.arange(DEGREE + 1) + 0.5) / (DEGREE + 1))
        nodes = self.low + self.width * (np.arange(self.panels)[:, None] + (x + 1) / 2)
        values = function(np.exp(nodes.ravel()))
        values = values.reshape(len(values), self.panels, DEGREE + 1)
        basis = np.polynomial.chebyshev.chebvander(x, DEGREE)
        self.coefficients = np.linalg.solve(basis, np.moveaxis(values, -1, 0).reshape(
            DEGREE + 1, -1)).reshape(DEGREE + 1, len(values), self.panels)  # fmt: skip
        between = np.exp(self.low + self.width * (np.arange(self.panels) + 0.4142))
        self.size = np.abs(values).max(axis=2)
        self.deviation = np.abs(self(between) - function(between))

    def __call__(self, q: np.ndarray) -> np.ndarray:
        """(row, q)."""
        place = (np.log(q) - self.low) / self.width
        panel = np.clip(place.astype(int), 0, self.panels - 1)
        x = 2 * (place - panel) - 1
        first = second = np.zeros((self.coefficients.shape[1], len(q)))
        for coefficient in self.coefficients[:0:-1]:  # Clenshaw
            first, second = coefficient[:, panel] + 2 * x * first - second, first
        return self.coefficients[0][:, panel] + x * first - second


def phase_diagram(moments: Moments, weight_variances, bias_variances) -> Diagram:
    """The diagram over (α_w², α_h²), (row, column).

    Raises UserError for negative or non-finite variances, and for an activation with kinks and no
    closed form, whose Hermite coefficients can't be interpolated.
    """
    w, h = (np.asarray(x, dtype=float) for x in (weight_variances, bias_variances))
    for name, values in (("weight", w), ("bias", h)):
        if not np.isfinite(values).all() or (values < 0).any():
            raise UserError(f"phase diagram: {name} variances must be finite and not negative")
    single = _single(moments)
    q, count = _starts(moments, single, w, h)
    w, h = np.broadcast_to(w[:, None], q.shape), np.broadcast_to(h, q.shape)
    known = np.isfinite(q) & (q > 0)
    q[known] = _polished(single, q[known], w[known], h[known])
    return _described(moments, single, q, w, h, count)


def _single(moments: Moments):
    """q (…) to (3, …), vectorized."""
    if not isinstance(moments, Quadrature):
        return lambda q: moments.single(q)[0]
    table = Table(lambda q: moments.single(q)[0] / [q, np.ones_like(q), np.ones_like(q)],
                  RANGE[0] / 2, 2 * RANGE[1])  # fmt: skip

    def single(q):
        rows = table(np.ravel(q)).reshape(3, *np.shape(q))
        return rows * [q, np.ones_like(q), np.ones_like(q)]

    return single


def _starts(moments: Moments, single, w: np.ndarray, h: np.ndarray):
    """Within 1 % of the fixed point of each cell, NaN where there is none; how many there are."""
    grid = np.geomspace(*RANGE, GRID)
    second = single(grid)[0]
    at_zero = float(moments.single(0.0)[0][0])
    middle = int(np.searchsorted(grid, 1.0))
    starts, counts = np.full((len(w), len(h)), np.nan), np.zeros((len(w), len(h)), int)
    for i, weight in enumerate(w):
        excess = weight * second - grid  # and + α_h²
        above = excess + h[:, None] > 64 * EPSILON * grid
        change = above[:, 1:] != above[:, :-1]
        counts[i] = change.sum(axis=1) + ((h == 0) & (weight * at_zero == 0))
        up = np.where(
            change[:, middle:].any(axis=1), middle + change[:, middle:].argmax(axis=1), -1
        )
        below = change[:, :middle][:, ::-1]
        down = np.where(below.any(axis=1), middle - 1 - below.argmax(axis=1), -1)
        place = np.where(above[:, middle], up, down)
        zero = (place < 0) & ~above[:, middle] & (h == 0) & (weight * at_zero == 0)
        starts[i] = np.where(place >= 0, np.sqrt(grid[place] * grid[place + 1]), starts[i])
        starts[i] = np.where(zero, 0.0, starts[i])
    return starts, counts


def _polished(single, q, w, h):
    """By Newton's method; from within 1 % it needs three steps, the fourth shows it."""
    for _ in range(6):
        values = single(q)
        q = q - (w * values[0] + h - q) / (w * values[2] - 1)
    return q


def _described(moments, single, q, w, h, count) -> Diagram:
    chi1, a, c, b, error = (np.full(q.shape, np.nan) for _ in range(5))
    positive = np.isfinite(q) & (q > 0)
    values = single(q[positive])
    chi1[positive], a[positive] = w[positive] * values[1], w[positive] * values[2]
    at_zero = moments.single(0.0)[0]
    chi1[q == 0], a[q == 0] = (w[q == 0] * at_zero[i] for i in (1, 2))
    noise = NOISE
    critical = positive & (np.abs(chi1 - 1) <= noise)
    ordered = positive & (chi1 <= 1)
    c[ordered | critical], b[ordered], b[critical] = 1.0, chi1[ordered], 1.0
    error[ordered] = noise
    chaotic = positive & (chi1 > 1) & ~critical
    if chaotic.any():
        found = _correlations(moments, q[chaotic], w[chaotic], h[chaotic])
        c[chaotic], b[chaotic], error[chaotic] = found
    with np.errstate(divide="ignore", invalid="ignore"):
        xi_q = np.where(
            np.abs(a) < 1, -1 / np.log(np.abs(a)), np.where(np.abs(a) == 1, np.inf, np.nan)
        )
        xi_c = np.where(critical, np.inf, -1 / np.log(b))
        a_error = noise / np.abs(1 - a)
    reason = np.select([np.isnan(q), q == 0, critical], [1, 2, 3], 0)
    return Diagram(q, chi1, a, c, b, xi_q, xi_c, xi_q**2 * a_error, xi_c**2 * error, count, reason)


def _correlations(moments: Moments, q, w, h):
    """c*, b and a bound of the error of b, where χ₁ > 1. In a closed form C̃(c) − c cancels near
    c = 1, so that the error grows as 1/(1 − b); the series has no such cancellation."""
    if isinstance(moments, Quadrature):
        c, b = _mehler(moments, q, w)
        return c, b, np.full(b.shape, NOISE)
    c, b = _newton(lambda c: moments.pair(q, q, c)[0], q, w, h)
    return c, b, NOISE / np.maximum(1 - b, NOISE)


def _newton(pair, q, w, h):
    """From below, where C̃(c) − c is convex and falls."""
    c = np.zeros_like(q)
    for _ in range(100):
        value, slope = pair(c)
        step = (w * value + h - q * c) / (q * (1 - w * slope))
        c = np.clip(c + np.maximum(step, 0), 0, 1 - EPSILON)
        if (np.abs(step) <= 4 * EPSILON * np.maximum(c, EPSILON)).all():
            break
    return c, w * pair(c)[1]


def _mehler(moments: Quadrature, q, w):
    """C̃(c) = c where w Σ aₙ²(1 − cⁿ)/(1 − c) = q, which has no cancellation near c = 1. The left
    side is a power series with the coefficients A_j = Σ_{n>j} aₙ², convex and rising: Newton's
    method from c = 1 falls to the root."""
    if moments.sigma.kinks:
        raise UserError(
            f"phase diagram: activation {moments.sigma.name!r} has kinks and no closed form: its"
            " Hermite coefficients can't be interpolated"
        )
    low, high = q.min() * 0.99, q.max() * 1.01
    largest = np.abs(moments.smooth_coefficients(np.array([high]), MEHLER)[:, 0])
    used = np.flatnonzero(largest > 1e-14 * largest.max())
    count = int(used[-1]) + 1
    table = Table(lambda at: moments.smooth_coefficients(at, count)[used] ** 2, low, high)
    if (used @ table.deviation > SMOOTH * (used @ table.size)).any():
        raise UserError(
            f"phase diagram: the Hermite coefficients of {moments.sigma.name!r} are not smooth in q"
        )
    c, b = np.empty_like(q), np.empty_like(q)
    for block in np.array_split(np.arange(len(q)), max(1, len(q) // 4000)):
        c[block], b[block] = _solved(table(q[block]), used, q[block], w[block], count)
    return c, b


def _solved(squares, used, q, w, count):
    """c* and b of some cells; squares: aₙ² (used, cell) of the n in `used`."""
    every = np.zeros((count, len(q)))
    every[used] = squares
    sums = np.cumsum(every[:0:-1], axis=0)[::-1]  # A_j, j = 0 …
    c, target = np.ones_like(q), q / w
    for _ in range(60):
        value, slope = _horner(sums, c)
        step = (value - target) / slope
        c = np.clip(c - step, 0, 1)
        if (np.abs(step) <= 4 * EPSILON).all():
            break
    return c, w / q * _horner(every, c)[1]


def _horner(coefficients, c):
    """A power series and its derivative."""
    value = slope = np.zeros_like(c)
    for coefficient in coefficients[::-1]:
        slope = value + c * slope
        value = coefficient + c * value
    return value, slope
