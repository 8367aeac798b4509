"""Two ReLU neurons of unit norm in any dimension: the problems of few angles that are left.

L(w₁, w₂) = f(w₁·w₂) − Σᵢⱼ f(wᵢ·vⱼ) + const with f(cos θ) = κ(θ), so that f′ = (π − θ)/2π and f″ =
1/(2π sin θ). By the lemmas of docs/complete-lists.md a critical point has both neurons in the plane
of the teachers, or they lie on either side of it, in one space of three dimensions. There, with
Aⱼ = π − ∠(w₁, vⱼ) and G = π − ∠(w₁, w₂), for some ratio 0 < r ≤ 1, after a swap of the neurons,

    π − ∠(w₂, vⱼ) = rAⱼ,    G(r cos rAⱼ + cos Aⱼ) + rAⱼ = 0,    r²Y(r) = Y(1),
    cos G + Σ cos Aⱼ cos rAⱼ = Y(1)/r,    Y(r) = 1 − Σ cos² rAⱼ.
"""

from __future__ import annotations

from flint import arb, arb_mat

from nnflow import Block, Enclosure

from ..._circle import delta, kappa, over_teachers
from ..models._relu_circle_enclosure import ReluCircleEnclosure

PI_OR_MORE = 3.1416
"""Angles in [0, π] are searched up to here."""
NARROWEST = 1e-3
"""Boxes of unequal neurons below this width are undecided."""
AngleBox = tuple[tuple[float, float], ...]
"""The ends of A₁, A₂ and r."""


class InPlane(ReluCircleEnclosure):
    """Both neurons in the plane, by their angles. The Hessian on the spheres of ℝᵈ is that of the
    two angles, and d − 2 times [[−λ₁, g], [g, −λ₂]] across the plane, g = f′(w₁·w₂), λᵢ = wᵢ·∇ᵢL.
    """

    def blocks(self, box):
        a, b = box.entries()
        mutual = delta(a - b) / (2 * arb.pi())
        outside = [over_teachers(_radial, t) - _radial(a - b) for t in (a, b)]
        across = arb_mat([[outside[0], mutual], [mutual, outside[1]]])
        return [Block("in the plane", 1, self.hessian(box)), Block("across", 1, across)]


def _radial(angle):
    """f′(cos t) cos t."""
    return delta(angle) * angle.cos() / (2 * arb.pi())


class Mirrored(Enclosure):
    """r = 1: two neurons that the plane mirrors onto one another, by A₁, A₂ and G.

    `gradient` are the equations 2G cos Aⱼ + Aⱼ = 0 and cos G + 2Σcos²Aⱼ = 1, which are critical
    points of no function; `loss` and `blocks` are those of the networks in ℝ³, in orthonormal
    tangents t ⊥ s, t along the plane: two blocks of (t, s), of changes that the plane mirrors onto
    one another, and onto the opposite of one another.
    """

    def gradient(self, box):
        first, second, mutual = box.entries()
        cosines = first.cos() * first.cos() + second.cos() * second.cos()
        turned = [2 * mutual * angle.cos() + angle for angle in (first, second)]
        return arb_mat([[turned[0]], [turned[1]], [mutual.cos() + 2 * cosines - 1]])

    def hessian(self, box):
        first, second, mutual = box.entries()
        rows = [
            [1 - 2 * mutual * first.sin(), 0, 2 * first.cos()],
            [0, 1 - 2 * mutual * second.sin(), 2 * second.cos()],
            [-2 * (2 * first).sin(), -2 * (2 * second).sin(), -mutual.sin()],
        ]
        return arb_mat(rows)

    def loss(self, box):
        first, second, mutual = (arb.pi() - angle for angle in box.entries())
        aligned = 2 * (kappa(first) + kappa(second))
        return 1 + 1 / (2 * arb.pi()) + kappa(mutual) - aligned

    def blocks(self, box):
        first, second, mutual = box.entries()
        x = [-first.cos(), -second.cos()]
        along = (x[0] * x[0] + x[1] * x[1]).sqrt()
        height = (1 - x[0] * x[0] - x[1] * x[1]).sqrt()
        pull = mutual / (2 * arb.pi())
        directions = arb_mat(
            [[-x[1] / along, -x[0] * height / along], [x[0] / along, -x[1] * height / along]]
        )
        bend = arb_mat(2, 2, [1 / (2 * arb.pi() * first.sin()), 0, 0,
                              1 / (2 * arb.pi() * second.sin())])  # fmt: skip
        taught = directions.transpose() * bend * directions
        apart = 4 * along * along * height * height / (arb.pi() * mutual.sin())
        same = arb_mat([[2 * pull, 0], [0, 2 * pull * height * height + apart]])
        opposite = arb_mat([[0, 0], [0, 2 * pull * along * along]])
        return [Block("mirrored", 1, same - taught), Block("opposite", 1, opposite - taught)]


def index(blocks: list[Block]) -> int | None:
    """How many eigenvalues of blocks of size 2 are negative; None where it is not proved."""
    total = 0
    for block in blocks:
        matrix = block.matrix
        determinant, trace = matrix.det(), matrix[0, 0] + matrix[1, 1]
        if determinant < 0:
            total += 1
        elif not (determinant > 0 and (trace > 0 or trace < 0)):
            return None
        elif trace < 0:
            total += 2
    return total


def unequal(most_boxes: int) -> tuple[int, list[AngleBox]]:
    """(boxes that are proved to hold no critical point with r < 1, boxes where it is not proved),
    which cover all A₁, A₂ in [0, π] and r in [0, 1]."""
    waiting: list[AngleBox] = [((0.0, PI_OR_MORE), (0.0, PI_OR_MORE), (0.0, 1.0))]
    excluded, undecided = 0, []
    while waiting:
        box = waiting.pop()
        if no_unequal(box):
            excluded += 1
            continue
        widths = [high - low for low, high in box]
        if max(widths) < NARROWEST or excluded + len(waiting) > most_boxes:
            undecided.append(box)
            continue
        axis = max(range(3), key=widths.__getitem__)
        low, high = box[axis]
        for part in ((low, (low + high) / 2), ((low + high) / 2, high)):
            waiting.append((*box[:axis], part, *box[axis + 1 :]))
    return excluded, undecided


def no_unequal(box: AngleBox) -> bool:
    """Is it proved that the box holds no critical point with r < 1?"""
    angles, ratio = [_ball(ends) for ends in box[:2]], _ball(box[2])
    heights = [_height(angles, one)[0] for one in (arb(1), ratio)]
    if any(bool(height < 0) for height in heights):
        return True
    shared = [ratio * angle for angle in angles]
    facing = [-(ratio * b.cos() + a.cos()) for a, b in zip(angles, shared, strict=True)]
    # rAⱼ = G·facing with 0 < G ≤ π, as rAⱼ > 0
    if any(n <= 0 or arb.pi() * n < b for n, b in zip(facing, shared, strict=True)):
        return True
    values = [angles[0] * facing[1] - angles[1] * facing[0], _mean_slope(angles, box[2][0])]
    if box[2][1] < 1:
        values.append(ratio * ratio * heights[1] - heights[0])
    together = sum((a.cos() * b.cos() for a, b in zip(angles, shared, strict=True)), arb(0))
    for n, b in zip(facing, shared, strict=True):
        if n > 0 and ratio > 0:
            values.append((b / n).cos() + together - heights[0] / ratio)
    return any(bool(value < 0) or bool(value > 0) for value in values)


def _mean_slope(angles: list[arb], low: float) -> arb:
    """(r²Y(r) − Y(1))/(r − 1) for all r from `low` to 1: a slope between, by the mean value
    theorem, which takes r = 1 itself, where the equation holds, out of it."""
    between = arb(low).union(arb(1))
    height, slope = _height(angles, between)
    return 2 * between * height + between * between * slope


def _height(angles: list[arb], ratio: arb) -> tuple[arb, arb]:
    """Y = −cos r(A₁+A₂) cos r(A₁−A₂), and its derivative in r, Σ Aⱼ sin 2rAⱼ."""
    total, apart = angles[0] + angles[1], angles[0] - angles[1]
    slope = sum((angle * (2 * ratio * angle).sin() for angle in angles), arb(0))
    return -(ratio * total).cos() * (ratio * apart).cos(), slope


def _ball(ends: tuple[float, float]) -> arb:
    return arb(ends[0]).union(arb(ends[1]))
