"""The curved valley over boxes, in ball arithmetic."""

from __future__ import annotations

from flint import arb_mat

from nnflow import Enclosure


class ToyValleyEnclosure(Enclosure):
    """A polynomial: its formulas as they are, with balls for numbers."""

    def __init__(self, epsilon):
        self.epsilon = epsilon

    def loss(self, box):
        x, above = _parts(box)
        return above * above + self.epsilon * x * x

    def gradient(self, box):
        x, above = _parts(box)
        return arb_mat([[2 * x * (self.epsilon - 2 * above)], [2 * above]])

    def hessian(self, box):
        x, above = _parts(box)
        return arb_mat([[8 * x * x - 4 * above + 2 * self.epsilon, -4 * x], [-4 * x, 2]])

    def none_beyond(self, radius):
        """w₁∂₁L + 2w₂∂₂L = 4(w₂ − w₁²)² + 2εw₁² vanishes at 0 alone where ε > 0."""
        return self.epsilon > 0 and radius > 0


def _parts(box):
    """w₁ and the height above the parabola."""
    x, y = box.entries()
    return x, y - x * x
