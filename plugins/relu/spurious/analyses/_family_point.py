"""The loss of a family, its equations and what a split does, at one s or on an interval of s.

All follows from F as a sum of parts that are small each,

    4πF = P² + ½π‖Σwᵢ − Σvⱼ‖² + (½π−1)Σ(‖wᵢ‖−1)² + 2Σℓᵢ + Σ_{i≠j}K(wᵢ, wⱼ) − 2Σ_{i≠j}K(wᵢ, vⱼ),

K(u, v) = ‖u‖‖v‖r(cos), r(c) = c·arcsin c + √(1−c²) − 1, with ∇_u K = arcsin(c) v − (1−√(1−c²))‖v‖ū.
ℓ is that of a neuron and its own teacher v, or −v where it is turned: with θ the angle between and
D = ‖w‖ sin θ it is ½π(‖w‖ − w·v) + θ w·v − D, and ∇ℓ = ½π(w̄ − v) + θv − sin θ w̄
(`OrbitLoss.value`). Numbers may be balls, or duals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flint import arb

from ._duals import asin_ratio, atan_rest
from ._families import Family
from ._scaled import Powers, Scaled


class Pair(NamedTuple):
    """What K of two neurons needs: their cosine, its arcsin, 1 − sin, sin and r."""

    cosine: Any
    angle: Any
    lost: Any
    sine: Any
    bend: Any


def _pair(cosine: Scaled) -> Pair:
    square = (cosine * cosine).number()
    sine = (1 - square).sqrt()
    ratio = asin_ratio(square)
    lost = cosine * cosine / (1 + sine)
    return Pair(cosine, cosine * ratio, lost, sine, cosine * cosine * (ratio - 1 / (1 + sine)))


class Point:
    """All numbers of a family. Blocks of neurons by index; a pair of neurons, or of a neuron and
    another one's teacher, by their blocks."""

    def __init__(self, family: Family, unknowns: list, s: Any) -> None:
        self.family, self.s, self.pi = family, Powers(s), arb.pi()
        w = self.weights = family.weights(unknowns, self.s)
        self.blocks = range(len(w.sizes))
        self.own, self.off, self.cross = w.own, w.off, w.cross
        self.square = [self._square(a) for a in self.blocks]
        """D² = ‖w‖² sin²θ at the own teacher."""
        self.across = [square.sqrt() for square in self.square]
        self.norm, self.longer = [], []
        for a in self.blocks:
            ahead = w.ahead[a]
            grown = w.grown.get(a) or ahead * 2 + ahead * ahead + self.square[a]
            norm = (1 + grown).number().sqrt()
            self.norm.append(norm)
            self.longer.append(grown / (1 + norm))
        self.total = w.total or sum((self.count(a) * self.longer[a] for a in self.blocks), 0)
        self.facing = [(w.own[a] * w.signs[a]).number() for a in self.blocks]
        """w·v of the own teacher or its opposite."""
        self.sine = [d / norm for d, norm in zip(self.across, self.norm, strict=True)]
        self.tangent = [d / facing for d, facing in zip(self.across, self.facing, strict=True)]
        self.rest = [atan_rest((x * x).number()) for x in self.tangent]
        self.students, self.teachers = {}, {}
        for a in self.blocks:
            for b in self.blocks:
                if a == b and self.single(a):
                    continue
                if a <= b:
                    cosine = self._product(a, b) / self.norm[a] / self.norm[b]
                    self.students[a, b] = self.students[b, a] = _pair(cosine)
                self.teachers[a, b] = _pair(self.entry(a, b) / self.norm[a])

    def count(self, a: int, less: int = 0) -> Any:
        """The number of neurons of a block, less some."""
        grows, n = self.weights.sizes[a]
        if not grows:
            return n - less
        return (Scaled(self.s, 1) - Scaled(self.s, n + less, 2)) * Scaled(self.s, 1, -2)

    def entry(self, a: int, b: int) -> Any:
        """Of a neuron of one block at the input of another neuron, of the same or another."""
        return self.off[a] if a == b else self.cross[a, b]

    def valid(self) -> bool:
        """Are the formulas those of F there: the angles on the sides that they are taken for?"""
        return all(
            facing > 0 and square.value > 0
            for facing, square in zip(self.facing, self.square, strict=True)
        )

    def others(self, a: int) -> list[int]:
        return [b for b in self.blocks if b != a]

    def single(self, a: int) -> bool:
        """Is the block one neuron at every width?"""
        return self.weights.sizes[a] == (False, 1)

    def partners(self, a: int) -> list[tuple[int, Any]]:
        """The blocks with other neurons than one of block a, and how many they have."""
        blocks = [b for b in self.blocks if not (a == b and self.single(a))]
        return [(b, self.count(b, int(a == b))) for b in blocks]

    def _square(self, a: int) -> Any:
        square = self.count(a, 1) * self.off[a] * self.off[a]
        return sum((self.count(b) * self.cross[a, b] * self.cross[a, b] for b in self.others(a)),
                   square)  # fmt: skip

    def _product(self, a: int, b: int) -> Any:
        """wᵢ·wⱼ."""
        if a == b and a in self.weights.products:
            return self.weights.products[a]
        left = [self.own[a] * self.entry(b, a), self.entry(a, b) * self.own[b]]
        for c in self.blocks:
            n = self.count(c, (c == a) + (c == b))
            left.append(n * self.entry(a, c) * self.entry(b, c))
        return sum(left, 0)


def equations(o: Point) -> list:
    """4π∂F/∂w in each kind of entry, each over its power of s, and what defines unknowns."""
    slopes = _slopes(o)
    divided = [slopes[letter].over(power) for letter, power in o.family.divided.items()]
    return [*divided, *o.weights.defining(o.longer)]


def _slopes(o: Point) -> dict[str, Scaled]:
    """4π∂F/∂wᵢⱼ by letter; blocks are the second ones where all neurons are turned."""
    letters = "abcdef" if len(o.blocks) == 2 else "ef"
    places = [(a, b, own) for a in o.blocks for b in o.blocks for own in (a == b, False)]
    named = dict(zip(dict.fromkeys(places), letters, strict=True))
    return {
        letter: _slope(o, a, b, own)
        for (a, b, own), letter in named.items()
        if own or a != b or not o.single(a)
    }


def _slope(o: Point, a: int, b: int, own: bool) -> Scaled:
    """4π∂F/∂wᵢⱼ of a neuron i of one block at the input j of another, or at its own."""
    along = (o.own[a] if own else o.entry(a, b)) / o.norm[a]  # w̄
    slope = along * (o.total * 2 + o.longer[a] * (o.pi - 2)) + o.weights.columns[b] * o.pi
    if own:
        x = o.tangent[a]
        turn = x * x * x * (1 / (1 + (x * x).number()) - o.rest[a])
        short = o.square[a] / (o.norm[a] * (o.norm[a] + o.facing[a]))
        slope = slope + (turn - short * (o.pi / 2)) * (2 * o.weights.signs[a])
    else:
        slope = slope + along * (o.pi - o.sine[a] * 2)
        slope = slope - o.teachers[a, b].angle * 2
    for c, n in o.partners(a):
        students, teachers = o.students[a, c], o.teachers[a, c]
        lost = teachers.lost - students.lost * o.norm[c]
        slope = slope + n * along * lost * 2
        slope = slope + students.angle * _seen(o, a, b, own, c) * 2
    return slope


def _seen(o: Point, a: int, b: int, own: bool, c: int) -> Any:
    """Σ of the entries at that input over the other neurons of a block."""
    there = (c == b) and not own
    rest = o.count(c, (c == a) + there) * o.entry(c, b)
    return rest + o.own[b] if there else rest


def scaled_loss(o: Point) -> Any:
    """F over κ to the family's power."""
    total = o.total * o.total
    for a in o.blocks:
        n, column, longer = o.count(a), o.weights.columns[a], o.longer[a]
        x = o.tangent[a]
        own = o.square[a] / (o.norm[a] + o.facing[a]) * (o.pi / 2)
        own = own - x * x * x * (o.facing[a] * o.rest[a])
        parts = column * column * (o.pi / 2) + longer * longer * (o.pi / 2 - 1) + own * 2
        total = total + n * parts
        for b, others in o.partners(a):
            bend = o.students[a, b].bend * o.norm[b] - o.teachers[a, b].bend * 2
            total = total + n * others * bend * o.norm[a]
    return (total / (4 * o.pi)).over(2 * o.family.power)


def split(o: Point) -> Any:
    """(h − ½)/s, h the eigenvalue of a turned neuron's own block ∂²F/∂w² on the vectors without sum
    in the inputs of the growing block. Where it is negative, splitting the neuron in two
    makes a saddle (Safran, Yehudai & Shamir 2021)."""
    turned = o.weights.signs.index(-1)
    many = next(a for a in o.blocks if o.weights.sizes[a][0])
    students, teachers = o.students[turned, many], o.teachers[turned, many]
    apart = o.weights.ahead[many] - o.off[many] * o.weights.signs[many]
    ahead = (apart * 2 + apart * apart) * teachers.sine - teachers.lost - o.longer[many]
    ahead = ahead + students.lost * o.norm[many]
    length = o.norm[many] * students.sine * teachers.sine
    total = o.total - o.longer[turned] - o.sine[turned] + ahead / length
    for b, n in o.partners(turned):
        total = total + n * (o.teachers[turned, b].lost - o.students[turned, b].lost * o.norm[b])
    return (total / (2 * o.pi * o.norm[turned])).over(1)
