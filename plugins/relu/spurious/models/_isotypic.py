"""The parts into which the symmetric group splits a Hessian."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

from ._orbits import Entry, Orbits

Vector = list[Fraction]
"""A matrix X, constant on the orbits of a refined partition: its value on each."""


class Isotypic(NamedTuple):
    """All copies of one irreducible representation: from each copy one vector, the image of
    the same abstract one. Their span carries each Hessian eigenvalue of the part once, the
    whole space `multiplicity` times."""

    name: str
    multiplicity: int
    vectors: list[Vector]


class Refined:
    """Blocks with up to two of their indices set apart: n = 1 + 1 + (n − 2).

    The matrices that are constant on the refined orbits hold a vector of every irreducible
    representation in the space of square matrices under S_{n₁} × S_{n₂} × …: by Young's rule
    each of those that occur is fixed somewhere by S_{n₁−2} × S_{n₂−2} × ….
    """

    def __init__(self, whole: Orbits) -> None:
        self.whole = whole
        parts = [(block, part) for block, n in enumerate(whole.sizes) for part in range(min(n, 3))]
        self.parts = parts
        sizes = [whole.sizes[block] - 2 if part == 2 else 1 for block, part in parts]
        self.orbits = Orbits(tuple(sizes))

    def coarse(self) -> list[int]:
        """For each refined orbit the orbit of the whole that it lies in."""
        orbits = []
        for entry in self.orbits.entries:
            row, column = self.parts[entry.row][0], self.parts[entry.column][0]
            orbits.append(self.whole.index_of(row, column, entry.own))
        return orbits

    def first(self, block: int) -> int:
        """The part that is the first index of a block."""
        return self.parts.index((block, 0))

    @cached_property
    def isotypic(self) -> tuple[Isotypic, ...]:
        """The isotypic parts of ℝ^{k×k}; Σ multiplicity·(number of vectors) = k².

        With T the trivial and S the standard representation of a block, of dimension n − 1,
        ℝⁿ = T ⊕ S, and so ℝ^{k×k} holds T, S, the products S⊗S′ of two blocks, and for each
        block S^{(n−2,2)} on the symmetric and S^{(n−2,1,1)} on the antisymmetric matrices.
        """
        return tuple(self._parts())

    def _parts(self) -> Iterator[Isotypic]:
        yield Isotypic("trivial", 1, [self._indicator(o) for o in range(len(self.whole.entries))])
        sizes = self.whole.sizes
        for a, n in enumerate(sizes):
            if n > 1:
                yield Isotypic(f"standard {a + 1}", n - 1, self._standard(a))
            if n > 3:
                yield Isotypic(f"symmetric {a + 1}", n * (n - 3) // 2, [self._symmetric(a)])
            if n > 2:
                dimension = (n - 1) * (n - 2) // 2
                yield Isotypic(f"antisymmetric {a + 1}", dimension, [self._antisymmetric(a)])
            for b in range(a):
                if n > 1 and sizes[b] > 1:
                    name = f"standard {b + 1} × standard {a + 1}"
                    yield Isotypic(name, (sizes[b] - 1) * (n - 1), self._product(b, a))

    def _vector(self, value: Callable[[tuple[int, int], tuple[int, int], bool], object]) -> Vector:
        """value(row, column, own) on each refined orbit; rows and columns as (block, part)."""

        def of(entry: Entry) -> Fraction:
            row, column = self.parts[entry.row], self.parts[entry.column]
            return Fraction(value(row, column, entry.own))  # type: ignore[arg-type]

        return [of(entry) for entry in self.orbits.entries]

    def _indicator(self, orbit: int) -> Vector:
        return [Fraction(coarse == orbit) for coarse in self.coarse()]

    def _standard(self, a: int) -> list[Vector]:
        """Images of s = (1, −1, 0, …): diag(s), sᵢ ± sⱼ off the diagonal, sᵢ in the rows and
        in the columns towards each other block."""

        def inside(row, column):
            return row[0] == column[0] == a

        vectors = [
            self._vector(lambda r, c, own: inside(r, c) and own and _sign(r)),
            self._vector(lambda r, c, own: inside(r, c) and not own and _sign(r) + _sign(c)),
            self._vector(lambda r, c, own: inside(r, c) and not own and _sign(r) - _sign(c)),
        ]
        if self.whole.sizes[a] == 2:  # s₁ + s₂ = 0
            del vectors[1]
        for b in range(len(self.whole.sizes)):
            if b != a:
                vectors.append(
                    self._vector(lambda r, c, own, b=b: (r[0], c[0]) == (a, b) and _sign(r))
                )
                vectors.append(
                    self._vector(lambda r, c, own, b=b: (r[0], c[0]) == (b, a) and _sign(c))
                )
        return vectors

    def _product(self, a: int, b: int) -> list[Vector]:
        """s⊗s′ in the rows of a and columns of b, and the other way around."""
        return [
            self._vector(lambda r, c, own, of=of: (r[0], c[0]) == of and _sign(r) * _sign(c))
            for of in ((a, b), (b, a))
        ]

    def _symmetric(self, a: int) -> Vector:
        """t_ij = t_ji with zero diagonal and row sums, the same for all i, j ≥ 3."""
        n = self.whole.sizes[a]
        value = {0: Fraction(1), 1: Fraction(-1, n - 2), 2: Fraction(2, (n - 2) * (n - 3))}
        return self._vector(
            lambda r, c, own: r[0] == c[0] == a and not own and value[(r[1] == 2) + (c[1] == 2)]
        )

    def _antisymmetric(self, a: int) -> Vector:
        """t_ij = −t_ji with zero row sums, 0 for i, j ≥ 3."""
        rest = Fraction(1, self.whole.sizes[a] - 2)
        value = {(0, 1): Fraction(1), (0, 2): -rest, (1, 2): rest}

        def of(r, c, own):
            if not r[0] == c[0] == a:
                return 0
            return value.get((r[1], c[1]), 0) - value.get((c[1], r[1]), 0)

        return self._vector(of)


def _sign(index: tuple[int, int]) -> int:
    """s = (1, −1, 0, …) at an index (block, part)."""
    return (1, -1, 0)[index[1]]
