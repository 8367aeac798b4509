"""Himmelblau's function over boxes, in ball arithmetic."""

from __future__ import annotations

from flint import arb_mat

from nnflow import Enclosure


class HimmelblauEnclosure(Enclosure):
    """A polynomial: its formulas as they are, with balls for numbers."""

    def loss(self, box):
        _, _, a, b = _parts(box)
        return a * a + b * b

    def gradient(self, box):
        x, y, a, b = _parts(box)
        return arb_mat([[4 * x * a + 2 * b], [2 * a + 4 * y * b]])

    def hessian(self, box):
        x, y, a, b = _parts(box)
        mixed = 4 * (x + y)
        return arb_mat([[4 * a + 8 * x * x + 2, mixed], [mixed, 4 * b + 8 * y * y + 2]])


def _parts(box):
    """x, y and the two residuals."""
    x, y = box.entries()
    return x, y, x * x + y - 11, x + y * y - 7
