"""What every enclosure must do: hold the loss and its derivatives at every point of a box."""

from __future__ import annotations

import flint
import numpy as np
import torch
from flint import arb, arb_mat

from nnflow.base.streams import Streams
from nnflow.checks.contract_tests import AGAINST_AUTOMATIC, RUNS, Finding, Findings, model_weights
from nnflow.engine.objective import Objective
from nnflow.interfaces.enclosure import Enclosure
from nnflow.interfaces.model import Model

RADII = (0.0, 1e-6, 0.3)
"""Half-widths of the boxes: a point, a small box, and one on which the loss may have kinks."""
POINTS = 5
"""Points of each box that are tried: its center, two corners and two from inside."""
QUANTITIES = ("loss", "gradient", "hessian")


def check_enclosure(model: Model) -> Findings:
    """Loss, gradient and Hessian by autodiff or closed form, at points of boxes around random
    weights, against the balls; rounding of the former is allowed for."""
    enclosure = model.enclosure()
    if enclosure is None:
        return
    objective = Objective(model, {}, Streams(0, "check", np.arange(RUNS), "check"))
    centers = model_weights(model)
    with flint.ctx.workprec(64):
        for radius in RADII:
            for name in QUANTITIES:
                excess = max(_excess(objective, enclosure, c, radius, name) for c in centers)
                text = f"farthest outside the ball: {excess:.1e}, relative"
                check = f"enclosure: {name} in a box of half-width {radius:g}"
                yield Finding(check, excess <= AGAINST_AUTOMATIC, text)
        yield from _sharp(enclosure, centers[0])


def _excess(
    objective: Objective, enclosure: Enclosure, center: torch.Tensor, radius: float, name: str
) -> float:
    """How far values at points of the box lie outside of the balls, relative to 1 + |value|.
    Balls that are not finite hold everything; a box that is not smooth promises nothing."""
    box = _box(center, radius)
    if not enclosure.smooth(box):
        return np.inf if radius == 0 else 0.0
    found = getattr(enclosure, name)(box)
    balls = found.entries() if isinstance(found, arb_mat) else [found]
    points = center + radius * _offsets(len(center))
    values = getattr(objective, name)(points).reshape(len(points), -1).tolist()
    if len(values[0]) != len(balls):
        return np.inf
    outside = (
        float(abs(ball - value).lower()) / (1 + abs(value))
        for row in values
        for ball, value in zip(balls, row, strict=True)
        if ball.is_finite() and not ball.contains(value)
    )
    return max(outside, default=0.0)


def _offsets(size: int) -> torch.Tensor:
    """Points of the cube [−1, 1]^size, (POINTS, size)."""
    inside = np.random.default_rng(0).uniform(-1, 1, (POINTS, size))
    inside[0] = 0
    inside[1:3] = np.sign(inside[1:3])
    return torch.from_numpy(inside)


def _box(center: torch.Tensor, radius: float) -> arb_mat:
    return arb_mat(len(center), 1, [arb(x, radius) for x in center.tolist()])


def _sharp(enclosure: Enclosure, center: torch.Tensor) -> Findings:
    """At a point the balls are as good as float64; blocks are symmetric there."""
    point = _box(center, 0.0)
    widest = max(float(x.rad()) for x in enclosure.hessian(point).entries())
    yield Finding("enclosure: sharp at a point", widest < AGAINST_AUTOMATIC, f"radius {widest:.1e}")
    blocks = enclosure.blocks(point)
    fits = all(
        block.multiplicity >= 1 and block.matrix.overlaps(block.matrix.transpose())
        for block in blocks
    )
    yield Finding("enclosure: blocks are symmetric", bool(blocks) and fits)
