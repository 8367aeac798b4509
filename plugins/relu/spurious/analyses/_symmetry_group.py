"""The permutations that leave a weight matrix as it is."""

from __future__ import annotations

import numpy as np


def isotropy(matrix: np.ndarray, within: float) -> tuple[int, ...]:
    """Sizes a, b, …, largest first, of the sets of neurons on which the isotropy group of W holds
    all permutations: S_a × S_b × ….

    matrix: (neuron, input). Two neurons are in one set where W stays the same, up to `within` in
    each entry, when they are exchanged, alone or together with two inputs: then all
    permutations of the set are products of such exchanges.
    """
    left = list(range(len(matrix)))
    sizes = []
    while left:
        first, *others = left
        same = [other for other in others if _exchangeable(matrix, first, other, within)]
        sizes.append(1 + len(same))
        left = [other for other in others if other not in same]
    return tuple(sorted(sizes, reverse=True))


def same_range(matrix: np.ndarray, tolerances: np.ndarray, within: float) -> tuple[float, float]:
    """The least and the greatest of the rising tolerances between which, `within` among them, all
    give the isotropy that `within` gives."""
    expected = isotropy(matrix, within)
    low = high = within
    for tolerance in tolerances[tolerances < within][::-1]:
        if isotropy(matrix, tolerance) != expected:
            break
        low = tolerance
    for tolerance in tolerances[tolerances > within]:
        if isotropy(matrix, tolerance) != expected:
            break
        high = tolerance
    return float(low), float(high)


def _exchangeable(matrix: np.ndarray, i: int, j: int, within: float) -> bool:
    columns = np.flatnonzero(np.abs(matrix[i] - matrix[j]) > within)
    if len(columns) == 0:
        return True
    if len(columns) != 2:
        return False
    exchanged = matrix.copy()
    exchanged[[i, j]] = matrix[[j, i]]
    exchanged[:, columns] = exchanged[:, columns[::-1]]
    return bool(np.abs(exchanged - matrix).max() <= within)


def group_name(sizes: tuple[int, ...]) -> str:
    """S5 × S1 for the sizes 5 and 1; sets of one neuron are left out but for one."""
    return " × ".join(f"S{size}" for size in sizes)
