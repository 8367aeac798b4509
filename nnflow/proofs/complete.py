"""All critical points in a box, proved complete: branch and prune in ball arithmetic.

The box is cut into smaller ones until each either holds no critical point, as ∇L is enclosed away
from 0 on it, or lies where a known critical point is proved to be the only one. What is left when
boxes are as small as allowed is undecided, and listed.

Source: interval Newton methods, as in Neumaier, Interval Methods for Systems of Equations (1990),
and Hansen & Walster, Global Optimization Using Interval Analysis (2004).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import flint
import numpy as np
from flint import arb, arb_mat

from nnflow.interfaces.enclosure import Enclosure
from nnflow.proofs.proof import Proof, exact, middle, prove, verdict

FIRST_RADIUS = 0.25
"""Half-width at which a critical point is first tried to be the only one, halved until it is; a
power of two near the distances of critical points. Smaller ones cost more boxes, no proof."""
HALVINGS = 20
NEWTON_STEPS = 30
FAR = 4.0
"""Widths of a box that Newton's method may go away from it."""
CLOSE = 1e-9
"""Gradients below this are where Newton's method has arrived. What counts is the proof that
follows; a point that is missed leaves undecided boxes."""
SINGULAR = float(np.log(np.finfo(float).tiny))
"""Logarithm of a determinant below which a matrix is not inverted."""
Box = tuple[np.ndarray, np.ndarray]
"""Lower and upper ends, (weight,) float64 each."""


@dataclass
class CompleteList:
    """points: (weight,) each; proofs: in the box of half-width `radius` around each point lies
    exactly one critical point, at which eigenvalues and loss are between the bounds. excluded:
    boxes proved to hold none. covered: boxes inside one of a critical point. undecided: the rest.
    Complete where there is none."""

    points: list[np.ndarray] = field(default_factory=list)
    proofs: list[Proof] = field(default_factory=list)
    excluded: int = 0
    covered: int = 0
    undecided: list[Box] = field(default_factory=list)

    def kinds(self, infimum: float | None = None) -> list[str]:
        """What each point is proved to be: minimum, spurious_minimum (above the infimum), saddle,
        maximum, or unproved."""
        return [verdict(proof, infimum) for proof in self.proofs]


def complete_list(
    enclosure: Enclosure,
    box: Box,
    narrowest: float = 1e-4,
    most_boxes: int = 100_000,
    precision: int = 64,
) -> CompleteList:
    """All critical points in a box, (lower, upper) ends of shape (weight,).

    narrowest: boxes whose longest side is below it are left undecided. most_boxes: when this many
    have been examined, the rest are undecided. A point that is not proved
    to lie outside the box counts. Raises ValueError for a box that is empty or not finite.
    """
    lower, upper = (np.asarray(end, dtype=float) for end in box)
    if not (np.isfinite([lower, upper]).all() and (lower < upper).all()):
        raise ValueError(f"no box: {lower.tolist()} to {upper.tolist()}")
    found = CompleteList()
    waiting = [(lower, upper)]
    looks = 0
    with flint.ctx.workprec(precision):
        while waiting:
            low, high = waiting.pop()
            looks += 1
            if excluded(enclosure, (low, high)):
                found.excluded += 1
            elif _known(found, low, high) or _new_point(enclosure, found, low, high, precision):
                found.covered += 1
            elif looks > most_boxes or (high - low).max() < narrowest:
                found.undecided.append((low, high))
            else:
                waiting.extend(_halves(low, high))
    inside = [
        ((lower - proof.distance <= point) & (point <= upper + proof.distance)).all()
        for point, proof in zip(found.points, found.proofs, strict=True)
    ]
    return replace(
        found,
        points=[point for point, held in zip(found.points, inside, strict=True) if held],
        proofs=[proof for proof, held in zip(found.proofs, inside, strict=True) if held],
    )


def excluded(enclosure: Enclosure, box: Box) -> bool:
    """Is it proved that ∇L vanishes nowhere in the box? By its enclosure, or by its Taylor form
    ∇L(c) + ∇²L(box)(w − c), both as they are and times an approximate inverse of the Hessian."""
    balls = _balls(*box)
    if not enclosure.smooth(balls):
        return False
    if _away_from_zero(enclosure.gradient(balls)):
        return True
    center = (box[0] + box[1]) / 2
    at_center, hessian = enclosure.gradient(_point(center)), enclosure.hessian(balls)
    offset = balls - _point(center)
    if _away_from_zero(at_center + hessian * offset):
        return True
    guess = middle(hessian)
    if not np.isfinite(guess).all() or np.linalg.slogdet(guess)[1] < SINGULAR:
        return False
    inverse = exact(np.linalg.inv(guess))
    return _away_from_zero(inverse * at_center + (inverse * hessian) * offset)


def _known(found: CompleteList, low: np.ndarray, high: np.ndarray) -> bool:
    """Does the box lie where a critical point is the only one?"""
    return any(
        ((point - proof.radius <= low) & (high <= point + proof.radius)).all()
        for point, proof in zip(found.points, found.proofs, strict=True)
    )


def _new_point(
    enclosure: Enclosure, found: CompleteList, low: np.ndarray, high: np.ndarray, precision: int
) -> bool:
    """Add the critical point that Newton's method finds from the middle, if it is new and proved to
    be the only one near it. True: the box lies there."""
    point = _newton(enclosure, low, high)
    if point is None or _outside(point, low, high, 1):
        return False
    radius = FIRST_RADIUS
    for _ in range(HALVINGS):
        if _disjoint(found, point, radius):
            proof = prove(enclosure, point, radius, precision)
            if not proof.obstacle and proof.distance <= radius:
                here = prove(enclosure, point, precision=precision)
                found.points.append(point)
                found.proofs.append(_sharper(here, proof))
                return _known(found, low, high)
        radius /= 2
    return False


def _sharper(here: Proof, proof: Proof) -> Proof:
    """The proof of a wide box, with the bounds of a narrow one of the same center where that is
    proved to hold the critical point, too: it is the same one then."""
    same = not here.obstacle and here.distance <= here.radius <= proof.radius
    return replace(here, radius=proof.radius) if same else proof


def _disjoint(found: CompleteList, point: np.ndarray, radius: float) -> bool:
    """Is the box of a new point apart from those of the others, so that none is counted twice?"""
    return all(
        (np.abs(point - other) > radius + proof.radius).any()
        for other, proof in zip(found.points, found.proofs, strict=True)
    )


def _newton(enclosure: Enclosure, low: np.ndarray, high: np.ndarray) -> np.ndarray | None:
    """A critical point near the middle of the box, in floating point: a guess; None: there is none
    at hand, or Newton's method has gone far from the box."""
    point = (low + high) / 2
    for _ in range(NEWTON_STEPS):
        if _outside(point, low, high, FAR):
            return None
        gradient = middle(enclosure.gradient(_point(point)))[:, 0]
        if not np.isfinite(gradient).all():
            return None
        if np.abs(gradient).max() < CLOSE:
            return point
        try:
            point = point - np.linalg.solve(middle(enclosure.hessian(_point(point))), gradient)
        except np.linalg.LinAlgError:
            return None
    return None


def _outside(point: np.ndarray, low: np.ndarray, high: np.ndarray, widths: float) -> bool:
    """Is the point farther outside of the box than that many of its widths?"""
    room = widths * (high - low)
    return bool(((point < low - room) | (point > high + room)).any())


def _halves(low: np.ndarray, high: np.ndarray) -> list[Box]:
    """The two halves of a box across its longest side."""
    axis = int(np.argmax(high - low))
    cut_high, cut_low = high.copy(), low.copy()
    cut_high[axis] = cut_low[axis] = (low[axis] + high[axis]) / 2
    return [(low, cut_high), (cut_low, high)]


def _balls(low: np.ndarray, high: np.ndarray) -> arb_mat:
    """Balls that contain [low, high]."""
    ends = zip(low.tolist(), high.tolist(), strict=True)
    return arb_mat(len(low), 1, [arb(a).union(arb(b)) for a, b in ends])


def _point(center: np.ndarray) -> arb_mat:
    return exact(center[:, None])


def _away_from_zero(vector: arb_mat) -> bool:
    """Has some component of every vector of the enclosure a sign?"""
    return any(bool(entry > 0) or bool(entry < 0) for entry in vector.entries())
