"""Networks that a permutation group leaves as they are: one number for each orbit of weights."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple

import numpy as np


class Entry(NamedTuple):
    """The entries w_iα of W with i in one block of indices and α in another or the same one;
    with own, those with i = α, else those with i ≠ α."""

    row: int
    column: int
    own: bool


class Orbits:
    """Square W fixed by S_{n₁} × S_{n₂} × …, which permutes neurons and inputs together.

    sizes: n₁, n₂, …; no size is 0. The orbits of entries, in the order of rows and columns of
    blocks, are one between each two blocks, and inside a block its diagonal and, if it holds
    two indices or more, what is off it. W is one number x_o for each orbit o; in the
    coordinates u_o = √|o|·x_o distances and gradients are those of the whole matrix. Sizes are
    integers without bound: nothing here grows with them.
    """

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes = sizes

    @cached_property
    def entries(self) -> tuple[Entry, ...]:
        """The orbits."""
        blocks = range(len(self.sizes))
        every = (Entry(a, b, own) for a in blocks for b in blocks for own in (True, False))
        return tuple(entry for entry in every if self._count(entry) > 0)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """|o|, the number of weights in each orbit."""
        return tuple(self._count(entry) for entry in self.entries)

    @cached_property
    def roots(self) -> np.ndarray:
        """√|o|, in floats."""
        return np.sqrt(np.array(self.counts, dtype=np.float64))

    def index_of(self, row: int, column: int, own: bool = False) -> int:
        """The index of an orbit among `entries`."""
        return self._indices[Entry(row, column, own)]

    def norm(self, block: int) -> list[tuple[int, int, int]]:
        """‖w_i‖² of a neuron of this block as the sum of c·x_o·x_p over (c, o, p)."""
        own = self.index_of(block, block, True)
        rest = (
            (self.sizes[b] - (b == block), self.index_of(block, b), self.index_of(block, b))
            for b in self._beside(block)
        )
        return [(1, own, own), *rest]

    def dot(self, first: int, second: int) -> list[tuple[int, int, int]]:
        """w_i·w_j of two different neurons of these blocks, as the sum of c·x_o·x_p."""
        terms = [
            (1, self.index_of(first, first, True), self.index_of(second, first)),
            (1, self.index_of(first, second), self.index_of(second, second, True)),
        ]
        for b, size in enumerate(self.sizes):
            if left := size - (b == first) - (b == second):
                terms.append((left, self.index_of(first, b), self.index_of(second, b)))
        return terms

    def column(self, block: int) -> list[tuple[int, int]]:
        """Σᵢ w_iα of an input α of this block as the sum of c·x_o over (c, o)."""
        rest = [
            (self.sizes[b] - (b == block), self.index_of(b, block)) for b in self._beside(block)
        ]
        return [(1, self.index_of(block, block, True)), *rest]

    def pairs(self) -> Iterator[tuple[int, int, int]]:
        """(number of pairs, block, block) of the unordered pairs of different neurons."""
        for a, size in enumerate(self.sizes):
            if size > 1:
                yield size * (size - 1) // 2, a, a
            for b in range(a):
                yield size * self.sizes[b], b, a

    def members(self) -> list[range]:
        """The indices of each block."""
        stops = [sum(self.sizes[: a + 1]) for a in range(len(self.sizes))]
        return [range(stop - size, stop) for stop, size in zip(stops, self.sizes, strict=True)]

    @cached_property
    def _indices(self) -> dict[Entry, int]:
        return {entry: index for index, entry in enumerate(self.entries)}

    def _count(self, entry: Entry) -> int:
        rows, columns = self.sizes[entry.row], self.sizes[entry.column]
        if entry.row != entry.column:
            return 0 if entry.own else rows * columns
        return rows if entry.own else rows * (rows - 1)

    def _beside(self, block: int) -> Iterator[int]:
        """The blocks in which an index of `block` sees others than itself."""
        return (b for b, size in enumerate(self.sizes) if size > (b == block))
