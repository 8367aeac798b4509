"""Proofs on intervals of s: the family is there, once, and what its Hessian and loss are.

The tube around a curve that floats have guessed, center + slope·(s − s₀), holds exactly one zero of
the equations at each s of an interval if Newton's map contracts it for all s at once (Krawczyk's
test). Guesses prove nothing; what is proved holds for any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import scipy.linalg
import scipy.optimize
from flint import arb, arb_mat, ctx

from ._duals import Dual
from ._families import FAMILIES, Family
from ._family_blocks import Form, blocks
from ._family_point import Point, equations, scaled_loss, split

ROOM = 2
"""Half-width of a tube, as a multiple of Newton's step from its middle."""
SMALLEST_TUBE = 1e-12
FOLLOWED = 0.02
"""Steps in s in which a family is followed by Newton's method."""
NEAR = 1e-4
"""Steps of Newton's method after which the Jacobian is kept: it has changed by as little."""
SHORTEST_LINK = 1e-7
"""Width of s below which boxes that only carry the family on are not cut any more."""
PARTS = 8
"""Boxes that connect the two ends of a crossing."""
CAUTION = 0.95
"""Part of the lowest eigenvalue of a matrix that its floating-point factor is shifted by."""
SLACK = 1e-9
"""Bounds are stated weaker by this part, so that another machine's guesses prove them, too."""
MOST = 1e4
"""Curvatures that grow with k are counted as if k were at most this."""
TRIED = (0.99, 0.97, 0.94, 0.9, 0.8, 0.6, 0.3, 0.0, -0.5, -1.0, -3.0)
"""Lower bounds of an eigenvalue that are tried, as parts of the guess."""
DEPENDENT = "the coordinates of a block are not proved independent"


@dataclass(frozen=True)
class Box:
    """An interval low ≤ s ≤ high and a tube |y − center − slope·(s − s₀)| ≤ radius of the unknowns
    of a family, by its name."""

    name: str
    low: float
    high: float
    center: tuple[float, ...]
    slope: tuple[float, ...]
    radius: float

    @property
    def family(self) -> Family:
        return FAMILIES[self.name]

    def point(self, radius: float) -> Point:
        """The family's numbers in the tube with another half-width, for all s."""
        return Point(self.family, self.tube(radius), self.s())

    def width(self) -> float:
        """No k of the box is below this, nor is MOST."""
        if not self.high > 0:
            return MOST
        return min(MOST, float(np.nextafter(float((1 / arb(self.high) ** 2).lower()), 0)))

    @cached_property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    def near(self, s: float) -> np.ndarray:
        """The curve at one s, in floats, carried on beyond the ends."""
        return np.array(self.center) + np.array(self.slope) * (s - self.middle)

    def s(self) -> arb:
        """The interval as a ball; its ends are the exact dyadic numbers."""
        return arb(self.low).union(arb(self.high))

    def tube(self, radius: float) -> list[arb]:
        """The tube with another half-width, for all s."""
        return self.across(self.s(), radius)

    def across(self, s: arb | float, radius: float) -> list[arb]:
        """The tube at one s."""
        step = arb(s) - self.middle
        pairs = zip(self.center, self.slope, strict=True)
        return [y + d * step + arb(0, radius) for y, d in pairs]


@dataclass(frozen=True)
class Statement:
    """What is proved on a box, at the family's point for every s of its interval.

    distance: no unknown is farther from the curve. eigenvalue_low, …_high: of the lowest Hessian
    eigenvalue of F; by_block: a lower bound for each isotypic part. loss_low, loss_high: of
    `scaled_loss`, kF or F.
    split_high: of (h − ½)/s (`split`). obstacle: what could not be proved, else "".
    """

    distance: float = np.inf
    eigenvalue_low: float = -np.inf
    eigenvalue_high: float = np.inf
    by_block: tuple[float, ...] = ()
    loss_low: float = -np.inf
    loss_high: float = np.inf
    split_high: float = np.inf
    obstacle: str = ""


def state(box: Box) -> Statement:
    """All that can be proved on a box."""
    distance = existence(box)
    if distance is None:
        return Statement(obstacle="no contraction is proved")
    distance = _weaker(distance, 1)
    point = box.point(distance)
    if not point.valid():
        return Statement(obstacle="the formulas are not proved to be those of F")
    try:
        found = [_eigenvalue(form, box) for form in blocks(point).values()]
    except ZeroDivisionError:
        return Statement(obstacle=DEPENDENT)
    lows, highs = zip(*found, strict=True)
    loss, splitting = scaled_loss(point), split(point)
    return Statement(
        distance, min(lows), min(highs), lows,
        _weaker(float(loss.lower()), -1), _weaker(float(loss.upper()), 1),
        _weaker(float(splitting.upper()), 1),
    )  # fmt: skip


def holds(box: Box, said: Statement) -> str:
    """Prove a statement again; "" or what of it is not proved."""
    distance = existence(box)
    if distance is None or not distance <= said.distance <= box.radius:
        return "the distance is not proved again"
    point = box.point(said.distance)
    if not point.valid():
        return "the formulas are not proved to be those of F"
    forms = blocks(point)
    if len(said.by_block) != len(forms) or said.eigenvalue_low > min(said.by_block):
        return "the lowest eigenvalue is not that of the blocks"
    try:
        found = [reduced(form, box.width()) for form in forms.values()]
    except ZeroDivisionError:
        return DEPENDENT
    for name, one, bound in zip(forms, found, said.by_block, strict=True):
        if not above(one, bound):
            return f"the bound of the {name} block is not proved again"
    pairs = zip(forms.values(), found, strict=True)
    if not any(_highest(*pair, box) <= said.eigenvalue_high for pair in pairs):
        return "the upper bound of the lowest eigenvalue is not proved again"
    loss = scaled_loss(point)
    if not (loss >= said.loss_low and loss <= said.loss_high):
        return "the loss is not proved again"
    return "" if split(point) <= said.split_high else "the splitting is not proved again"


def existence(box: Box) -> float | None:
    """Krawczyk's test, for all s at once: a bound of the distance of the one zero in the tube from
    the curve; None where there is no proof.

    With A near the inverse of the Jacobian J, y ↦ y − A E(y, s) maps the tube into its inside where
    δ + κr < r, δ ≥ ‖A E(curve(s), s)‖ and κ ≥ ‖I − A J(tube)‖. By the mean value theorem
    E(curve(s), s) = E(center, s₀) + (s − s₀)·(J slope + ∂E/∂s), somewhere on the curve.
    """
    if not (0 <= box.low <= box.high and box.radius > 0):
        return None
    try:
        inverse, delta = _left(replace(box, radius=0.0), ctx.prec)
    except np.linalg.LinAlgError:
        return None
    _, jacobian = _evaluated(box.family, box.tube(box.radius), box.s())
    count = range(len(box.center))
    defect = inverse * arb_mat([[jacobian[i, j] for j in count] for i in count])
    for i in count:
        defect[i, i] -= 1
    sums = (sum((defect[i, j].abs_upper() for j in count), arb(0)) for i in count)
    kappa = max(sums, key=lambda x: float(x.upper()))
    if not (kappa < 1 and delta + kappa * box.radius < box.radius):
        return None
    return float(np.nextafter(float((delta / (1 - kappa)).upper()), np.inf))


@lru_cache(maxsize=1)  # the box is made with δ, and then its existence is proved with both
def _left(box: Box, precision: int) -> tuple[arb_mat, arb]:
    """A and δ, which do not depend on the radius: it is 0 here."""
    count = len(box.center)
    start, along = _at_point(box.name, box.center, box.middle, precision)
    inverse = np.linalg.inv(_floats(along)[:, :count])
    exact = arb_mat(count, count, inverse.ravel().tolist())
    if box.low < box.high:
        _, along = _evaluated(box.family, box.tube(0.0), box.s())
    left = along * arb_mat(count + 1, 1, [*box.slope, 1.0])
    step = box.s() - box.middle
    rest = exact * arb_mat([[start[i] + step * left[i, 0]] for i in range(count)])
    return exact, max((rest[i, 0].abs_upper() for i in range(count)), key=float)


def connected(left: Box, right: Box) -> bool:
    """Are the points of two neighbouring boxes one at the s that they share?"""
    if left.high != right.low or (shared := within(left, left.high)) is None:
        return False
    return lies_in(*shared, right)


def within(box: Box, s: float) -> tuple[Box, float] | None:
    """A small tube at one s of a box that is proved to hold a zero, and to lie in the box's tube,
    which holds but one; with the distance of the zero. None where there is no proof."""
    small = make_box(box.name, s, s, box.near(s))
    distance = existence(small)
    if distance is None or not lies_in(small, distance, box):
        return None
    return small, distance


def lies_in(small: Box, distance: float, box: Box) -> bool:
    """Does the tube of this half-width at one s lie in a box's tube?"""
    middles = box.across(small.low, 0.0)
    pairs = zip(small.tube(distance), middles, strict=True)
    return all((x - y).abs_upper() <= box.radius for x, y in pairs)


def linked(left: Box, right: Box) -> bool:
    """Is the curve of one box that of another further on, by boxes between in which the family is
    proved to be there?"""
    here, step = left, right.low - left.high
    while here.high < right.low and step > SHORTEST_LINK:
        end = min(here.high + step, right.low)
        ahead = make_box(here.name, here.high, end, here.near((here.high + end) / 2))
        if existence(ahead) is not None and connected(here, ahead):
            here, step = ahead, 2 * step
        else:
            step /= 2
    return connected(here, right)


class Reduced(NamedTuple):
    """Forms M ⪯ Hessian and G, the squared length, in coordinates of which the first `growing` are
    those along which the curvature grows with k."""

    hessian: arb_mat
    length: arb_mat
    growing: int


def reduced(form: Form, width: float) -> Reduced:
    """With the growing changes g·x as coordinates of their own, x = Z·coordinates, and k replaced
    by a `width` that is no larger. Raises ZeroDivisionError where Z is not proved to exist."""
    size, count = form.bounded.nrows(), len(form.growing)
    rows = [one.vector.entries() for one in form.growing]
    if count:
        middle = np.array([[float(x.mid()) for x in row] for row in rows])
        _, _, order = scipy.linalg.qr(middle, pivoting=True)
        kept = sorted(order[count:].tolist())
    else:
        kept = list(range(size))
    unit = [[int(i == j) for j in range(size)] for i in kept]
    back = arb_mat([*rows, *unit]).inv() if count else arb_mat(unit)
    hessian = back.transpose() * form.bounded * back
    for i, one in enumerate(form.growing):
        hessian[i, i] += one.weight * width
    return Reduced(hessian / (4 * arb.pi()), back.transpose() * back, count)


def above(form: Reduced, bound: float) -> bool:
    """Is the lowest eigenvalue of M x = λ G x above `bound`? M − μG = RRᵀ + rest with rest ⪰ 0 by
    its rows, r_ii ≥ Σ|r_ij|, and R, triangular without a zero on its diagonal, invertible. G is
    positive semidefinite."""
    if not np.isfinite(bound):
        return bound < 0
    matrix = form.hessian - form.length * arb(bound)
    middle = _floats(matrix)
    if not np.isfinite(middle).all():
        return False
    middle = (middle + middle.T) / 2
    lowest = np.linalg.eigvalsh(middle)[0]
    if not lowest > 0:
        return False
    factor = np.linalg.cholesky(middle - CAUTION * lowest * np.eye(len(middle)))
    exact = arb_mat(*factor.shape, factor.ravel().tolist())
    rest = matrix - exact * exact.transpose()
    size = range(len(middle))
    return all(
        rest[i, i] >= sum((rest[i, j].abs_upper() for j in size if j != i), arb(0)) for i in size
    )


def _eigenvalue(form: Form, box: Box) -> tuple[float, float]:
    """A lower and an upper bound of the lowest eigenvalue."""
    found = reduced(form, box.width())
    guess, _ = _guess(found.hessian, found.length)
    size = max(abs(guess), 1e-3)
    tried = [guess - (1 - part) * size for part in TRIED]
    low = next((bound for bound in tried if above(found, bound)), -np.inf)
    return low, _weaker(float(_highest(form, found, box).upper()), 1)


def _highest(form: Form, found: Reduced, box: Box) -> arb:
    """A number above which the lowest eigenvalue is nowhere on the box, the lesser of two: without
    the growing changes, whatever k is, and with them, where the box ends below k = ∞."""
    rest = range(found.growing, found.hessian.nrows())
    parts = [arb_mat([[m[i, j] for j in rest] for i in rest]) for m in found[:2]] if rest else []
    bounds = [_rayleigh(*parts)] if parts else []
    if box.low > 0:
        bounds.append(_rayleigh(_whole(form, 1 / box.s() ** 2), _unit(form)))
    return min(bounds, key=lambda x: float(x.upper()), default=arb.pos_inf())


def _whole(form: Form, k: arb) -> arb_mat:
    """The Hessian at a finite k."""
    total = form.bounded
    for one in form.growing:
        total = total + one.vector.transpose() * one.vector * (one.weight * k)
    return total / (4 * arb.pi())


def _unit(form: Form) -> arb_mat:
    size = form.bounded.nrows()
    return arb_mat([[int(i == j) for j in range(size)] for i in range(size)])


def _rayleigh(hessian: arb_mat, length: arb_mat) -> arb:
    """xᵀMx/xᵀGx for the guess of an eigenvector."""
    _, vector = _guess(hessian, length)
    x = arb_mat(len(vector), 1, vector.tolist())
    square = (x.transpose() * length * x)[0, 0]
    return (x.transpose() * hessian * x)[0, 0] / square if square > 0 else arb.pos_inf()


def _guess(hessian: arb_mat, length: arb_mat) -> tuple[float, np.ndarray]:
    matrix, weight = _floats(hessian), _floats(length)
    try:
        values, vectors = scipy.linalg.eigh((matrix + matrix.T) / 2, (weight + weight.T) / 2)
    except (np.linalg.LinAlgError, ValueError):
        return 0.0, np.ones(len(weight))
    return float(values[0]), vectors[:, 0]


def cover(
    name: str, low: float, high: float, tightness: float, shortest: float
) -> Iterator[tuple[Box, Statement]]:
    """Boxes that cover low ≤ s ≤ high, cut in two until each is proved to be a spurious minimum
    that a split makes a saddle, with a lower bound of its lowest eigenvalue of at least
    `tightness` times the upper one; and as they are below the width `shortest`."""
    waiting, last = [(low, high)], make_box(name, low, low, followed(name, low))
    while waiting:
        start, stop = waiting.pop()
        middle = (start + stop) / 2
        box = make_box(name, start, stop, last.near(middle))
        said = state(box)
        if proved(said, tightness) or stop - start < shortest:
            yield box, said
            last = box
            continue
        waiting += [(middle, stop), (start, middle)]


def proved(said: Statement, tightness: float = 0.0) -> bool:
    """A spurious minimum, and a saddle once its turned neuron is split."""
    kind = said.eigenvalue_low > 0 and said.loss_low > 0 and said.split_high < 0
    return kind and said.eigenvalue_low >= tightness * said.eigenvalue_high


def make_box(name: str, low: float, high: float, guess: np.ndarray) -> Box:
    """A box around the family, as floats know it."""
    middle = (low + high) / 2
    family = FAMILIES[name]
    center = tuple(newton(family, guess, middle).tolist())
    _, jacobian = _at_point(name, center, middle, ctx.prec)
    matrix = _floats(jacobian)
    slope = -np.linalg.solve(matrix[:, :-1], matrix[:, -1])
    curve = Box(name, low, high, center, tuple(slope.tolist()), 0.0)
    _, delta = _left(curve, ctx.prec)
    return replace(curve, radius=max(SMALLEST_TUBE, ROOM * float(delta)))


def newton(family: Family, start: np.ndarray, s: float, steps: int = 50) -> np.ndarray:
    """The family at one s, in floats."""
    y, size = np.array(start, dtype=float), np.inf
    for _ in range(steps):
        point = list(map(arb, y.tolist())), arb(s)
        if size > NEAR:
            values, jacobian = _evaluated(family, *point)
            matrix = _floats(jacobian)[:, :-1]
        else:
            values = equations(Point(family, *point))
        move = np.linalg.solve(matrix, [float(v.mid()) for v in values])
        y, size = y - move, np.abs(move).max()
        if size < 1e-13:
            break
    return y


def followed(name: str, s: float) -> np.ndarray:
    """The family at one s, in floats, followed from s = 0."""
    guess = np.array(FAMILIES[name].at_zero)
    for at in np.linspace(0, s, 1 + int(s / FOLLOWED)):
        guess = newton(FAMILIES[name], guess, float(at))
    return newton(FAMILIES[name], guess, s)


def _evaluated(family: Family, unknowns: list[arb], s: arb) -> tuple[list[arb], arb_mat]:
    """The equations and their derivatives in the unknowns and in s."""
    size = len(unknowns) + 1
    rows = [arb_mat(1, size, [int(i == j) for j in range(size)]) for i in range(size)]
    duals = [Dual(v, row) for v, row in zip([*unknowns, s], rows, strict=True)]
    found = equations(Point(family, duals[:-1], duals[-1]))
    return [one.value for one in found], arb_mat([one.slope.entries() for one in found])


@lru_cache(maxsize=1)  # a box is made with them, and then its δ
def _at_point(name: str, unknowns: tuple, s: float, precision: int) -> tuple[list[arb], arb_mat]:
    """The equations and their derivatives at floats."""
    return _evaluated(FAMILIES[name], list(map(arb, unknowns)), arb(s))


def _floats(matrix: arb_mat) -> np.ndarray:
    rows, columns = matrix.nrows(), matrix.ncols()
    return np.array([[float(matrix[i, j].mid()) for j in range(columns)] for i in range(rows)])


def _weaker(bound: float, sign: int) -> float:
    """Moved by SLACK: up for an upper bound (sign 1), down for a lower one (−1)."""
    return bound + sign * SLACK * (abs(bound) + SLACK)


def at_widths(name: str, widths: Iterable[int]) -> dict[int, Statement]:
    """What is proved at the floats nearest to s = 1/√k alone."""
    found, guess = {}, np.array(FAMILIES[name].at_zero)
    for k in sorted(widths, reverse=True):
        box = make_box(name, k**-0.5, k**-0.5, guess)
        found[k], guess = state(box), np.array(box.center)
    return found


@dataclass(frozen=True)
class Crossing:
    """Where the lowest eigenvalue of the family crosses 0: proved between two s, and so two k."""

    low: float
    high: float


def crossing(name: str, low: float, high: float, width: float) -> tuple[Crossing | None, list[Box]]:
    """Enclose an s at which the Hessian becomes singular: positive definite at one end, an
    eigenvalue below 0 at the other, and the family connected between; with the boxes of it."""
    family, guess = FAMILIES[name], followed(name, low)

    def lowest(s: float) -> float:
        nonlocal guess
        guess = newton(family, guess, s)
        forms = blocks(Point(family, list(map(arb, guess.tolist())), arb(s))).values()
        return min(_guess(_whole(form, 1 / arb(s) ** 2), _unit(form))[0] for form in forms)

    found = scipy.optimize.brentq(lowest, low, high, xtol=width / 100)
    boxes = parts_of(name, found - width, found + width)
    return (Crossing(boxes[0].low, boxes[-1].high) if crosses(boxes) else None), boxes


def parts_of(name: str, low: float, high: float) -> list[Box]:
    """An interval in PARTS boxes."""
    guess = followed(name, low)
    edges = np.linspace(low, high, PARTS + 1).tolist()
    return [make_box(name, a, b, guess) for a, b in pairwise(edges)]


def crosses(boxes: list[Box]) -> bool:
    """Do the boxes prove a crossing?"""
    joined = all(connected(a, b) for a, b in pairwise(boxes))
    if not (joined and all(existence(box) is not None for box in boxes)):
        return False
    ends = []
    for s, box in ((boxes[0].low, boxes[0]), (boxes[-1].high, boxes[-1])):
        if (shared := within(box, s)) is None:
            return False
        small, distance = shared
        if not (point := small.point(distance)).valid():
            return False
        ends.append((small, blocks(point).values()))
    (first, these), (last, those) = ends
    least = all(above(reduced(form, first.width()), 0.0) for form in these)
    return least and any(_highest(form, reduced(form, last.width()), last) < 0 for form in those)
