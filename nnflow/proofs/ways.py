"""Ways down from a saddle to a minimum, proved in ball arithmetic: the loss never rises above the
saddle's.

A way is a broken line w₀, …, w_m. Its first corner w₀ is the center of a box that holds exactly one
critical point s, no entry of which differs more from w₀'s than the `distance` that was proved; its
last corner is the center of a box with a critical point e. The level is the proved upper bound of
L(s). What is proved is that s and e are joined by the segments from s to w₁, from w₁ to w₂, …, to
w_m, and from there to e, on which L ≤ level, and that e is a strict minimum. So the barrier between
e and whatever else a second way from s reaches is at most level − L(e).

**A segment** from p to q: f(t) = L(p + t(q − p)), 0 ≤ t ≤ 1, so f' = ∇L·(q − p) and f'' =
(q − p)ᵀ∇²L(q − p). The Hessian is enclosed over a box that holds the segment, which gives
m ≤ f'' ≤ M. Two bounds hold:

- Taylor's, from p: f(t) ≤ f(0) + t f'(0) + t²M⁺/2 with M⁺ = max(M, 0), convex in t and therefore at
  most max(f(0), f(0) + f'(0) + M⁺/2);
- the chord's: f(t) + t²m⁻/2 with m⁻ = max(−m, 0) is convex and therefore below its chord, so that
  f(t) ≤ (1 − t)f(0) + t f(1) + m⁻t(1 − t)/2 ≤ max(f(0), f(1)) + m⁻/8.

The segment is proved where one of them is at most the level. Both need the loss and the gradient at
points alone, where enclosures are as narrow as rounding, and are off by a third power of the
segment's length, as the width of the Hessian's enclosure grows with the box. A loss that is
enclosed over a box is off by the first power.

**Beside the saddle** the loss is equal to first order, and no margin is left. There f(0) = L(s) ≤
level and f'(0) = 0 exactly. The segment begins at s, of which only its tiny box is known: with p
and q − p as boxes f'' is enclosed for all of them, and where M ≤ 0 is proved, Taylor's bound is
f(0).

**Beside the minimum** the Hessian is proved positive definite on the box of e. L is convex there, e
is its only critical point and so its lowest point, and L falls from w_m to e.

The Hessian is that of the model's own weights (`Enclosure.hessian`), and each box must be proved to
be one on which the loss is twice continuously differentiable. The corners are float64 numbers,
taken as exact; that they come from a descent is a guess, of which the proof knows nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import flint
import numpy as np
from flint import arb, arb_mat

from nnflow.interfaces.enclosure import Enclosure
from nnflow.proofs.proof import Proof, exact, lowest_bound

HALVINGS = 40
"""How often a segment is halved before it counts as not proved: from a length of 1 down to
float64's rounding."""
MOST_SEGMENTS = 2000
"""Segments that are proved before a way is given up; those of published networks take below 200."""


@dataclass(frozen=True)
class Way:
    """corners: (corner, weight) float64, from the saddle's center to the minimum's. level: proved:
    the loss on the way is at most this. obstacle: why there is no proof, else ""."""

    corners: np.ndarray
    level: float
    obstacle: str = ""


def prove_way(
    enclosure: Enclosure, corners: np.ndarray, start: Proof, end: Proof, precision: int = 64
) -> Way:
    """Prove that each segment of a broken line, as it is, stays below the saddle's loss.

    corners: (corner, weight), from the saddle's center to the minimum's, at least two. start, end:
    what is proved of the critical points beside the first and the last corner (`prove`). Raises
    ValueError for corners of another shape.
    """
    corners = _broken_line(corners)
    with flint.ctx.workprec(precision):
        obstacle = _ends(enclosure, corners, start, end)
        for place in range(len(corners) - 1):
            if obstacle:
                break
            if not _below(enclosure, corners[place], corners[place + 1], place == 0, start):
                obstacle = f"segment {place} is not proved to stay below the saddle"
        return Way(corners, start.loss_high, obstacle)


def find_way(
    enclosure: Enclosure,
    trajectory: np.ndarray,
    start: Proof,
    end: Proof,
    precision: int = 64,
    most: int = MOST_SEGMENTS,
) -> Way:
    """A proved way along a trajectory, with as few corners as serve: as many points are skipped as
    the segment that skips them can be proved, and a segment between neighbours that can't be is
    halved. What comes back without an obstacle is proved, and `prove_way` proves it again.

    trajectory: (point, weight), such as a steepest descent, from the saddle's center to the
    minimum's. start, end: as in `prove_way`. most: segments after which it gives up.
    """
    trajectory = _broken_line(trajectory)
    with flint.ctx.workprec(precision):
        obstacle = _ends(enclosure, trajectory, start, end)
        if obstacle:
            return Way(trajectory, start.loss_high, obstacle)
        corners, place, skip, failed = [trajectory[0]], 0, 1, False
        while place < len(trajectory) - 1:
            if len(corners) > most:
                obstacle = f"no way within {most} segments"
                break
            first, here = len(corners) == 1, corners[-1]
            goal = min(place + skip, len(trajectory) - 1)
            if _below(enclosure, here, trajectory[goal], first, start):
                corners.append(trajectory[goal])
                # double, but not right after as much had failed
                place, skip, failed = goal, skip if failed else 2 * skip, False
            elif goal - place > 1:
                skip, failed = (goal - place) // 2, True
            else:
                halfway = _part(enclosure, here, trajectory[goal], first, start)
                if halfway is None:
                    obstacle = f"no way beyond point {place} of the trajectory is proved"
                    break
                corners.append(halfway)
        return Way(np.array(corners), start.loss_high, obstacle)


def _broken_line(corners: np.ndarray) -> np.ndarray:
    corners = np.asarray(corners, dtype=np.float64)
    if corners.ndim != 2 or len(corners) < 2 or not np.isfinite(corners).all():
        raise ValueError(f"no broken line: an array of shape {corners.shape}, or not finite")
    return corners


def _ends(enclosure: Enclosure, corners: np.ndarray, start: Proof, end: Proof) -> str:
    """What is missing at the two ends, or ""."""
    if not (start.distance <= start.radius and math.isfinite(start.loss_high)):
        return "no critical point is proved at the start"
    if not end.distance <= end.radius:
        return "no critical point is proved at the end"
    if not lowest_bound(enclosure, corners[-1], end.radius) > 0:
        return "the loss is not proved convex at the end"
    return "" if _loss(enclosure, corners[-1]) <= start.loss_high else "the end is not below"


def _part(enclosure, here: np.ndarray, goal: np.ndarray, first: bool, start: Proof):
    """A point of the segment up to which it is proved; None: none in sight."""
    for _ in range(HALVINGS):
        goal = (here + goal) / 2
        if (goal == here).all():
            return None
        if _below(enclosure, here, goal, first, start):
            return goal
    return None


def _below(
    enclosure: Enclosure, here: np.ndarray, goal: np.ndarray, first: bool, start: Proof
) -> bool:
    """Is the loss proved to be at most the level on the segment? first: it begins at the critical
    point of `start`, somewhere in the box around `here`."""
    begin = [arb(x, start.distance if first else 0.0) for x in here.tolist()]
    finish = [arb(x) for x in goal.tolist()]
    size = len(begin)
    box = arb_mat(size, 1, [a.union(b) for a, b in zip(begin, finish, strict=True)])
    if not enclosure.smooth(box):
        return False
    step = arb_mat(size, 1, [b - a for a, b in zip(begin, finish, strict=True)])
    row = step.transpose()
    curvature = (row * (enclosure.hessian(box) * step))[0, 0]
    level = arb(start.loss_high)
    if first:
        return bool(curvature <= 0)
    at = exact(here[:, None])
    low, high = enclosure.loss(at), _loss(enclosure, goal)
    slope = (row * enclosure.gradient(at))[0, 0]
    taylor = low.max(low + slope + curvature.max(arb(0)) / 2)
    chord = low.max(high) + (-curvature).max(arb(0)) / 8
    return bool(taylor <= level) or bool(chord <= level)


def _loss(enclosure: Enclosure, point: np.ndarray) -> arb:
    return enclosure.loss(exact(point[:, None]))
