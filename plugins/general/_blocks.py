"""Which rows of a weight matrix are equal up to order: the blocks of a symmetric critical point."""

from __future__ import annotations

import numpy as np


def block_sizes(matrix: np.ndarray, within: float) -> tuple[int, ...]:
    """Sizes, largest first, of the sets of rows that are equal up to the order of their entries.

    matrix: (neuron, input). Two rows are equal where their sorted entries differ by less than
    `within`. A point that is fixed by the permutations S_a × S_b × … of neurons together with
    inputs has blocks of sizes a, b, …, whatever order its rows and columns stand in.
    """
    rows = np.sort(matrix, axis=1)
    left = np.ones(len(rows), dtype=bool)
    sizes = []
    for row in rows:
        equal = left & (np.abs(rows - row).max(axis=1) < within)
        if equal.any():
            sizes.append(int(equal.sum()))
            left &= ~equal
    return tuple(sorted(sizes, reverse=True))


def turned(matrix: np.ndarray) -> int:
    """How many rows have a negative entry of largest magnitude: neurons that point against
    the direction nearest to theirs instead of along it."""
    largest = np.abs(matrix).argmax(axis=1)
    return int((np.take_along_axis(matrix, largest[:, None], axis=1) < 0).sum())
