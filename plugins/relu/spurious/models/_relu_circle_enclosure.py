"""Two ReLU neurons on the unit circle over boxes of angles, in ball arithmetic."""

from __future__ import annotations

from flint import arb, arb_mat

from nnflow import Enclosure

from ..._circle import curvature, kappa, over_teachers, slope


class ReluCircleEnclosure(Enclosure):
    """The formulas of the model, with balls for numbers; angles of modulus up to 3π/2, so that
    their differences are at most 3π."""

    def loss(self, box):
        a, b = box.entries()
        aligned = over_teachers(kappa, a) + over_teachers(kappa, b)
        return 1 + 1 / (2 * arb.pi()) + kappa(a - b) - aligned

    def gradient(self, box):
        a, b = box.entries()
        mutual = slope(a - b)
        return arb_mat([[mutual - over_teachers(slope, a)], [-mutual - over_teachers(slope, b)]])

    def hessian(self, box):
        a, b = box.entries()
        mutual = curvature(a - b)
        first, second = (mutual - over_teachers(curvature, t) for t in (a, b))
        return arb_mat([[first, -mutual], [-mutual, second]])
