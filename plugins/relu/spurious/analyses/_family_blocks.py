"""The whole Hessian of a family at all widths, as blocks that stay bounded as s → 0.

The group splits ℝ^{k×k} into isotypic parts (`Isotypic`); on the copies of one representation the
Hessian is a matrix in an orthonormal basis of at most six matrices X. Two kinds of directions have
curvatures that grow with k: changes of Σ‖wᵢ‖ and of the columns' sums. So it is

    4π·Hessian = bounded + k·Σ weight·g gᵀ,

with bounded vectors g of such changes over √k. With ℓ and K as in `_family_point`, along X of rows
x:
‖w‖′ = n = w̄·x, ‖w‖″ = (|x|² − n²)/‖w‖;
ℓ″ = [(½π − sin θ)(|x|² − n²) − sin θ (sin θ x∥ − cos θ x⊥)²]/‖w‖, x∥ along the own teacher, or its
opposite, x⊥ along the rest of w; and with L = ‖u‖‖v‖, cos = c
K″ = (q′ − cL′)²/(L sin) + arcsin(c) q″ − (1 − sin) L″.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flint import arb, arb_mat

from ._family_point import Point
from ._scaled import Scaled


class Growing(NamedTuple):
    """k·weight·g gᵀ, g a row."""

    weight: arb
    vector: arb_mat


class Form(NamedTuple):
    """The Hessian on one part: (bounded + k·Σ weight·g gᵀ)/4π."""

    bounded: arb_mat
    growing: list[Growing]


class Part:
    """Sums up 4π times the second variation on one isotypic part, of linear forms (rows) in the
    coordinates of its orthonormal basis."""

    def __init__(self, o: Point, copies: int) -> None:
        self.o, self.copies = o, copies
        self.sum: Any = 0
        self.growing: list[Growing] = []

    def coordinates(self) -> list[Scaled]:
        n = self.copies
        return [Scaled(self.o.s, arb_mat(1, n, [int(i == j) for j in range(n)])) for i in range(n)]

    def add(self, weight: Any, x: Any, y: Any = None) -> None:
        """weight·x·y, of two linear forms; without y the square."""
        if not isinstance(weight, int | Scaled):
            weight = Scaled(self.o.s, weight)
        if any(isinstance(one, int) and one == 0 for one in (weight, x, y)):
            return
        y = x if y is None else y
        product = x.value.transpose() * y.value
        product = (product + product.transpose()) / arb(2)
        self.sum = self.sum + Scaled(self.o.s, product, x.power + y.power) * weight

    def grow(self, weight: Any, x: Scaled) -> None:
        """weight·x², x of the order of √k."""
        self.growing.append(Growing(arb(weight), x.over(-1)))

    def form(self) -> Form:
        return Form(self.sum.number(), self.growing)


def blocks(o: Point) -> dict[str, Form]:
    """The isotypic parts of the Hessian of F by name, those that there are from the family's
    least width on."""
    found = {"trivial": _trivial(o)}
    for a in o.blocks:
        least = o.count(a)
        size = least if isinstance(least, int) else o.family.from_k - o.weights.sizes[a][1]
        if size > 1:
            found[f"standard {a + 1}"] = _standard(o, a, size)
        if size > 3:
            found[f"symmetric {a + 1}"] = _single(o, a, 1)
        if size > 2:
            found[f"antisymmetric {a + 1}"] = _single(o, a, 0)
        if a == 1 and size > 1 and not o.single(0):
            found["standard 1 × standard 2"] = _product(o)
    return found


def _norms(part: Part, a: int, count: Any, along: Any, squares: list[Any]) -> None:
    """What ‖w‖″ of the neurons of a block stands beside: all terms but those with q. count: how
    many neurons have these forms n (`along`; 0 for none) and |x|² = Σ of squares."""
    o = part.o
    norm, longer = o.norm[a], o.longer[a]
    beside = o.total * 2 + longer * (o.pi - 2)
    for b, n in o.partners(a):
        beside = beside + n * (o.teachers[a, b].lost - o.students[a, b].lost * o.norm[b]) * 2
    beside = (beside + (o.pi - o.sine[a] * 2)) / norm * count
    for x in squares:
        part.add(beside, x)
    part.add(beside * -1, along)
    part.add((o.pi - 2) * count, along)


def _own(part: Part, a: int, count: Any, ahead: Any, beside: Any) -> None:
    """The rest of 2ℓ″, from x∥ and x⊥."""
    o = part.o
    turned = ahead * o.sine[a] - beside * (o.facing[a] / o.norm[a])
    part.add(o.sine[a] * (-2 / o.norm[a]) * count, turned)


def _bent(part: Part, a: int, b: int, count: Any, change: Any) -> None:
    """(q′ − cL′)²/(L sin) of students."""
    part.add(count * (1 / (part.o.norm[a] * part.o.norm[b] * part.o.students[a, b].sine)), change)


def _trivial(o: Point) -> Form:
    """X constant on the orbits: A on the diagonal of a block, B off it, G at another's inputs."""
    several = [a for a in o.blocks if not o.single(a)]
    part = Part(o, len(o.blocks) + len(several) + len(o.cross))
    free = iter(part.coordinates())
    A = [next(free) / _root(o.count(a)) for a in o.blocks]
    B = [next(free) / _root(o.count(a) * o.count(a, 1)) if a in several else 0 for a in o.blocks]
    G = {pair: next(free) / _root(o.count(pair[0]) * o.count(pair[1])) for pair in o.cross}
    along, squares = [], []
    for a in o.blocks:
        beside = o.count(a, 1) * o.off[a] * B[a]
        squared = [A[a], _root(o.count(a, 1)) * B[a]]
        for b in o.others(a):
            beside = beside + o.count(b) * o.cross[a, b] * G[a, b]
            squared.append(_root(o.count(b)) * G[a, b])
        along.append((o.own[a] * A[a] + beside) / o.norm[a])
        squares.append([x for x in squared if isinstance(x, Scaled)])
        _norms(part, a, o.count(a), along[a], squares[a])
        _own(part, a, o.count(a), A[a] * o.weights.signs[a], beside / o.across[a])
    part.grow(2, sum((o.count(a) * along[a] for a in o.blocks), 0))
    for a in o.blocks:
        column = A[a] + o.count(a, 1) * B[a]
        for b in o.others(a):
            column = column + o.count(b) * G[b, a]
        part.grow(o.pi, _root(o.count(a)) * column)
    for a in o.blocks:
        for b, n in o.partners(a):
            pairs = o.count(a) * n
            teacher, student = o.teachers[a, b], o.students[a, b]
            other = B[a] if a == b else G[a, b]
            change = other - teacher.cosine * along[a]
            part.add(pairs * (-2 / (o.norm[a] * teacher.sine)), change)
            change = _between(o, a, b, A, B, G) + _between(o, b, a, A, B, G)
            length = along[a] * o.norm[b] + along[b] * o.norm[a]
            _bent(part, a, b, pairs, change - student.cosine * length)
            _joint(part, a, b, pairs * student.angle * 2, A, B, G)
            part.add(pairs * student.lost * -2, along[a], along[b])
    return part.form()


def _between(o: Point, a: int, b: int, A: list, B: list, G: dict) -> Any:
    """xᵢ·wⱼ, i in one block and j in another or the same."""
    if a == b:
        total = A[a] * o.off[a] + o.own[a] * B[a] + o.count(a, 2) * o.off[a] * B[a]
        rest = (o.count(c) * G[a, c] * o.cross[a, c] for c in o.others(a))
        return sum(rest, total)
    total = A[a] * o.cross[b, a] + o.count(a, 1) * o.cross[b, a] * B[a]
    return total + G[a, b] * o.own[b] + o.count(b, 1) * o.off[b] * G[a, b]


def _joint(part: Part, a: int, b: int, weight: Any, A: list, B: list, G: dict) -> None:
    """weight·xᵢ·xⱼ."""
    o = part.o
    if a == b:
        part.add(weight * 2, A[a], B[a])
        part.add(weight * o.count(a, 2), B[a])
        for c in o.others(a):
            part.add(weight * o.count(c), G[a, c])
        return
    for c, d in ((a, b), (b, a)):
        part.add(weight, A[c], G[d, c])
        part.add(weight * o.count(c, 1), B[c], G[d, c])


def _standard(o: Point, a: int, size: int) -> Form:
    """X = A diag(σ) + u σᵢ + v σⱼ off the diagonal of a block, Gσᵢ at another's inputs and Hσⱼ in
    its rows; Σσ = 0, |σ| = 1. u and v from their sum and difference."""
    part = Part(o, 2 + (size > 2) + 2 * len(o.others(a)))
    n, n1 = o.count(a), o.count(a, 1)
    A, minus, *free = part.coordinates()
    minus = minus / _root(n * 2)
    plus = free.pop(0) / _root(o.count(a, 2) * 2) if size > 2 else 0
    u, v = minus + plus, plus - minus
    beside = o.off[a] * (n1 * u - v)
    summed = A - u + n1 * v
    squares = [A, minus * _root(n * 2)]
    if size > 2:
        squares.append(plus * _root(o.count(a, 2) * 2))
    rows = {}
    for b, (G, H) in zip(o.others(a), [free] if free else [], strict=True):
        many = o.count(b)
        squares.append(G)
        G, H = G / _root(many), H / _root(many)
        beside = beside + many * o.cross[a, b] * G
        rows[b] = G, H
    along = (o.own[a] * A + beside) / o.norm[a]
    _norms(part, a, 1, along, squares)
    _own(part, a, 1, A * o.weights.signs[a], beside / o.across[a])
    column = summed
    for b, (_, H) in rows.items():
        column = column + o.count(b) * H
    part.grow(o.pi, column)
    # with the same block
    student, teacher = o.students[a, a], o.teachers[a, a]
    change = o.off[a] * A + o.own[a] * (u + v) - o.off[a] * v
    change = change + o.off[a] * (o.count(a, 2) * u - v)
    for b, (G, _) in rows.items():
        change = change + o.count(b) * o.cross[a, b] * G
    change = change - student.cosine * along * o.norm[a]
    _bent(part, a, a, o.count(a, 2) * 2, change)
    part.add(student.angle * 2, summed)
    for x in squares:
        part.add(student.angle * -2, x)
    part.add(student.lost * 2, along)
    turned = u - teacher.cosine * along
    weight = Scaled(o.s, -2 / (o.norm[a] * teacher.sine))
    for x in (turned, v):
        part.add(weight * n1, x)
    part.add(weight * -2, turned, v)
    for b, (G, H) in rows.items():
        many, student = o.count(b), o.students[a, b]
        change = o.cross[b, a] * (A + n1 * u - v) + G * o.own[b]
        change = change + o.count(b, 1) * o.off[b] * G + H * (o.own[a] - o.off[a])
        _bent(part, a, b, many * 2, change - student.cosine * along * o.norm[b])
        part.add(student.angle * many * 4, summed, H)
        part.add(many * (-2 / (o.norm[a] * o.teachers[a, b].sine)),
                 G - o.teachers[a, b].cosine * along)  # fmt: skip
        # the other block's neurons, whose norms don't change
        _norms(part, b, many, 0, [H])
        part.add(many * (-2 / (o.norm[b] * o.teachers[b, a].sine)), H)
        if not o.single(b):
            part.add(o.students[b, b].angle * many * o.count(b, 1) * 2, H)
    return part.form()


def _product(o: Point) -> Form:
    """X = R σᵢτⱼ at the second block's inputs and C τᵢσⱼ in its rows."""
    part = Part(o, 2)
    change: Any = 0
    for a, x in enumerate(part.coordinates()):
        b = 1 - a
        _norms(part, a, 1, 0, [x])
        part.add(o.students[a, a].angle * -2, x)
        part.add(Scaled(o.s, -2 / (o.norm[a] * o.teachers[a, b].sine)), x)
        change = change + x * (o.own[b] - o.off[b])
    _bent(part, 0, 1, 2, change)
    return part.form()


def _single(o: Point, a: int, symmetric: int) -> Form:
    """X symmetric, or antisymmetric, with rows without sum in one block."""
    part = Part(o, 1)
    (x,) = part.coordinates()
    _norms(part, a, 1, 0, [x])
    part.add(o.students[a, a].angle * -2, x)
    part.add(Scaled(o.s, -2 / (o.norm[a] * o.teachers[a, a].sine)), x)
    _bent(part, a, a, 4 * symmetric, x * (o.own[a] - o.off[a]))
    return part.form()


def _root(count: Any) -> Any:
    return arb(count).sqrt() if isinstance(count, int) else count.sqrt()
