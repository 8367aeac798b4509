"""Himmelblau's function over boxes, in ball arithmetic."""

from __future__ import annotations

from itertools import pairwise, product

from flint import arb, arb_mat

from nnflow import Enclosure

FACES = 64
"""Parts of each side of the square of directions."""
NEAR_INFINITY = 8
"""Parts of 0 ≤ s ≤ 1/radius."""


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

    def none_beyond(self, radius):
        """With w = d/s, ‖d‖∞ = 1, the radial derivative s⁴ w·∇L is a polynomial in d and s, and is
        enclosed above 0 for all directions d and 0 ≤ s ≤ 1/radius."""
        ends = [-1 + 2 * arb(i) / FACES for i in range(FACES + 1)]
        sides = [low.union(high) for low, high in pairwise(ends)]
        steps = [arb(i) / (NEAR_INFINITY * arb(radius)) for i in range(NEAR_INFINITY + 1)]
        scales = [low.union(high) for low, high in pairwise(steps)]
        faces = [(arb(sign), t) for sign in (-1, 1) for t in sides]
        return all(
            bool(_outward(x, y, s) > 0)
            for (u, t), s in product(faces, scales)
            for x, y in ((u, t), (t, u))
        )


def _outward(x, y, s):
    """s⁴ w·∇L(w) at w = (x, y)/s: 4a² + 4b² + a(44s² − 2ys) + b(28s² − 2xs), a and b the residuals
    times s²."""
    a, b = x * x + y * s - 11 * s * s, x * s + y * y - 7 * s * s
    mixed = a * (44 * s * s - 2 * y * s) + b * (28 * s * s - 2 * x * s)
    return 4 * a * a + 4 * b * b + mixed


def _parts(box):
    """x, y and the two residuals."""
    x, y = box.entries()
    return x, y, x * x + y - 11, x + y * y - 7
