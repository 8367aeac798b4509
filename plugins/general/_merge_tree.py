"""How the basins of a sampled plane merge as the level rises: 0-dimensional persistence."""

from __future__ import annotations

import numpy as np

NEIGHBOURS = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
"""With the diagonals, as a narrow valley that crosses the grid at an angle would fall apart."""


def merge_tree(values: np.ndarray) -> dict[str, np.ndarray]:
    """Basins of the sublevel sets {values ≤ level} of a grid (row, column), deepest first: their
    lowest `place` (basin, 2), its value `birth`, the level `death` at which each merges with a
    deeper one (∞: never), and `parent`, the number of that one (-1: none). Cells that are not
    finite belong to none (Edelsbrunner & Harer 2010, ch. VII).

    A grid sees no basin narrower than its spacing; a pass between grid points appears higher than
    it is, or is crossed on a diagonal; and a minimum at the border may go on falling beyond it.
    """
    rows, columns = values.shape
    flat = values.ravel()
    root = np.full(flat.size, -1)
    found: dict[int, tuple[float, int]] = {}  # lowest cell: (death, cell of the deeper basin)

    def top(cell: int) -> int:
        while root[cell] != cell:
            root[cell] = root[root[cell]]
            cell = root[cell]
        return cell

    for cell in np.argsort(flat, kind="stable"):
        if not np.isfinite(flat[cell]):
            continue
        row, column = divmod(int(cell), columns)
        around = [
            (row + down) * columns + column + right
            for down, right in NEIGHBOURS
            if 0 <= row + down < rows and 0 <= column + right < columns
        ]
        basins = sorted({top(c) for c in around if root[c] >= 0}, key=lambda c: (flat[c], c))
        root[cell] = basins[0] if basins else cell
        if not basins:
            found[int(cell)] = (np.inf, -1)
        for shallow in basins[1:]:
            root[shallow] = basins[0]
            found[shallow] = (float(flat[cell]), basins[0])
    return _deepest_first(flat, found, columns)


def _deepest_first(flat: np.ndarray, found: dict, columns: int) -> dict[str, np.ndarray]:
    """Without those that merge at the level of their own lowest value, which are plateaus."""
    kept = [cell for cell, (death, _) in found.items() if death > flat[cell]]
    kept.sort(key=lambda cell: flat[cell] - found[cell][0])
    number = {cell: place for place, cell in enumerate(kept)}
    cells = np.array(kept, dtype=int)
    return {
        "place": np.stack(np.divmod(cells, columns), axis=1),
        "birth": flat[cells],
        "death": np.array([found[cell][0] for cell in kept]),
        "parent": np.array([number.get(found[cell][1], -1) for cell in kept], dtype=int),
    }
