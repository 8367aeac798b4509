"""Two free ReLU neurons in the plane of two orthonormal teachers (Tian 2017), by their angles.

With norms ρᵢ and angles αᵢ, L = ¼(ρ₁² + ρ₂²) + ρ₁ρ₂κ(α₂ − α₁) − ρ₁K(α₁) − ρ₂K(α₂) + const, where K
is the sum of κ over the teachers. Where ρ₁, ρ₂ > 0 it is critical if and only if, with δ = α₂ − α₁,

    ½ρ₁ + κ(δ)ρ₂ = K(α₁),    κ(δ)ρ₁ + ½ρ₂ = K(α₂),
    ρ₂κ′(δ) + K′(α₁) = 0,    ρ₁κ′(δ) − K′(α₂) = 0.

The first two give the norms where δ ≠ 0, as κ < ½ there. After a swap of the neurons 0 ≤ δ ≤ π.
"""

from __future__ import annotations

from flint import arb, arb_mat

from nnflow import Enclosure

from ..._circle import curvature, kappa, over_teachers, slope
from ..._enclosure import ReluEnclosure

NETWORKS = ReluEnclosure(2, 2)
NEAR = 0.25
"""Neurons at an angle up to here are looked at apart from the others: the norms are not known."""
AROUND = (-1.0, 5.2832)
"""Ends of a whole turn and a little more; no critical point is near them."""
OPPOSITE = 3.15
"""Differences of angles in [0, π] are searched up to here."""
NARROWEST = 1e-3
"""Intervals of angles below this width, of neurons that are nearly parallel, are undecided."""


class Apart(Enclosure):
    """Neurons at an angle δ ≠ 0, by (α₁, δ): `gradient` are the third and the fourth equation.
    `blocks` is the Hessian of the four weights."""

    def gradient(self, box):
        first, apart = box.entries()
        norms, bend = _norms(first, apart), slope(apart)
        left = norms[1] * bend + over_teachers(slope, first)
        return arb_mat([[left], [norms[0] * bend - over_teachers(slope, first + apart)]])

    def hessian(self, box):
        first, apart = box.entries()
        norms, bend, bent = _norms(first, apart), slope(apart), curvature(apart)
        pulls = [over_teachers(slope, angle) for angle in (first, first + apart)]
        curved = [over_teachers(curvature, angle) for angle in (first, first + apart)]
        turned = _solved(apart, *pulls)
        opened = _solved(apart, -bend * norms[1], pulls[1] - bend * norms[0])
        rows = [
            [turned[1] * bend + curved[0], opened[1] * bend + norms[1] * bent],
            [turned[0] * bend - curved[1], opened[0] * bend + norms[0] * bent - curved[1]],
        ]
        return arb_mat(rows)

    def loss(self, box):
        return NETWORKS.loss(self.weights(box))

    def blocks(self, box):
        return NETWORKS.blocks(self.weights(box))

    def weights(self, box):
        first, apart = box.entries()
        return _weights([first, first + apart], _norms(first, apart))


class Parallel(Enclosure):
    """Neurons at one angle α: K′(α) = 0, and norms with the sum 2K(α), a line of critical points.
    `loss` is that of the line, `blocks` the Hessian in its middle."""

    def gradient(self, box):
        return arb_mat([[over_teachers(slope, box[0, 0])]])

    def hessian(self, box):
        return arb_mat([[over_teachers(curvature, box[0, 0])]])

    def loss(self, box):
        return NETWORKS.loss(self.weights(box))

    def blocks(self, box):
        return NETWORKS.blocks(self.weights(box))

    def weights(self, box):
        angle = box[0, 0]
        return _weights([angle] * 2, [over_teachers(kappa, angle)] * 2)


def _norms(first: arb, apart: arb) -> list[arb]:
    """ρ₁ and ρ₂ by the first two equations."""
    return _solved(apart, over_teachers(kappa, first), over_teachers(kappa, first + apart))


def _solved(apart: arb, left: arb, right: arb) -> list[arb]:
    """(x, y) with ½x + κ(δ)y = left, κ(δ)x + ½y = right."""
    mutual = kappa(apart)
    determinant = arb(1) / 4 - mutual * mutual
    return [(left / 2 - mutual * right) / determinant, (right / 2 - mutual * left) / determinant]


def _weights(angles: list[arb], norms: list[arb]) -> arb_mat:
    """NaN where a norm is not proved to be above 0: then it is no network."""
    norms = [size if size > 0 else arb.nan() for size in norms]
    pairs = list(zip(angles, norms, strict=True))
    return arb_mat(4, 1, [x for t, size in pairs for x in (size * t.cos(), size * t.sin())])


def nearly_parallel(most_boxes: int) -> tuple[int, list[tuple[float, float]]]:
    """(intervals of α₁ proved to hold no critical point with 0 < δ ≤ NEAR, those that are not).

    There κ′(δ) ≠ 0, so that the equations give E = ½K′(α₂) − κ(δ)K′(α₁) − κ′(δ)K(α₁) = 0. By the
    mean value theorem E/δ = ½K″(ξ) − κ′(η)K′(α₁) − κ″(ζ)K(α₁) with ξ between the angles and η, ζ
    in [0, δ], as κ(0) = ½ and κ′(0) = 0.
    """
    waiting, excluded, undecided = [AROUND], 0, []
    turns = arb(0).union(arb(NEAR))
    while waiting:
        low, high = waiting.pop()
        first = arb(low).union(arb(high))
        value = over_teachers(curvature, first + turns) / 2
        value -= slope(turns) * over_teachers(slope, first)
        value -= curvature(turns) * over_teachers(kappa, first)
        if value > 0 or value < 0:
            excluded += 1
        elif high - low < NARROWEST or excluded + len(waiting) > most_boxes:
            undecided.append((low, high))
        else:
            middle = (low + high) / 2
            waiting += [(low, middle), (middle, high)]
    return excluded, undecided
