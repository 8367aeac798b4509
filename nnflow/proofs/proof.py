"""Proofs about critical points, in ball arithmetic (Arb): existence, kind, and loss.

Floating-point numbers enter as guesses only: a center, an approximate inverse, an
approximate Cholesky factor, an approximate eigenvector. Each is taken for the exact dyadic
number that it is, and what is proved holds for any guess, or isn't proved.

Arb rounds every operation outwards; comparisons of balls are true only where they hold for
all numbers of the balls.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import flint
import numpy as np
import scipy.linalg
from flint import arb, arb_mat

from nnflow.interfaces.enclosure import Block, Enclosure

VERDICTS = ("spurious_minimum", "minimum", "maximum", "saddle", "unproved")
UPPER = ("distance", "contraction", "min_eigenvalue_high", "max_eigenvalue_high", "loss_high")
LOWER = ("min_eigenvalue_low", "max_eigenvalue_low", "loss_low")
"""Which bounds of a proof are upper ones and which are lower ones."""

SMALLEST_RADIUS = 2.0**-40
"""Radius of the box where none is given: a thousand times the rounding of float64 weights near
1, and so small that the Hessian hardly changes on the box. From 2⁻⁴⁴ to 2⁻³⁴ the verdicts on
the published minima are the same."""
ROOM = 4
"""Minimum ratio of the box's size to the distance of the critical point."""
SHIFT = 2.0**-30
"""How far below the lowest eigenvalue the Cholesky factorization is tried, relative to the
largest: far above the rounding of float64 (N·2⁻⁵³), far below any eigenvalue of interest."""
SLACK = 2.0**-30
"""Bounds are stated weaker than they were found by this part of the largest eigenvalue (of 1 +
|L| for the loss), so that other guesses, on another machine, prove them too."""
SLACK_FACTOR = 2.0
"""The same for distance and contraction, as a factor."""


@dataclass(frozen=True)
class Proof:
    """What is proved about a box of half-width `radius` around a center.

    In the box |wᵢ − centerᵢ| ≤ radius lies exactly one critical point, and its entries differ
    from the center's by at most `distance`; w ↦ w − A∇L(w) contracts the box in the maximum
    norm by the factor `contraction`, for some A. At each point of the box the lowest and the
    highest eigenvalue of the Hessian, and the loss, lie between the bounds. A bound that was
    not proved is infinite. obstacle: why there is no proof of a critical point, else "".
    """

    radius: float
    obstacle: str = ""
    distance: float = math.inf
    contraction: float = math.inf
    min_eigenvalue_low: float = -math.inf
    min_eigenvalue_high: float = math.inf
    max_eigenvalue_low: float = -math.inf
    max_eigenvalue_high: float = math.inf
    loss_low: float = -math.inf
    loss_high: float = math.inf


def prove(
    enclosure: Enclosure, center: np.ndarray, radius: float | None = None, precision: int = 64
) -> Proof:
    """Prove what can be proved about the critical point beside `center`.

    center: (weight,) float64. radius: half-width of the box; None: as small as serves.
    precision: bits of the balls' midpoints. Raises ValueError for a radius that is not positive
    and finite.
    """
    if radius is not None and not 0 < radius < math.inf:
        raise ValueError(f"the radius is {radius}")
    with flint.ctx.workprec(precision):
        return _prove(enclosure, center, radius)


def lowest_pair(
    enclosure: Enclosure, center: np.ndarray, radius: float, precision: int = 64
) -> tuple[float, float]:
    """(upper bound of the lowest, lower bound of the second lowest eigenvalue) of the Hessian in
    the model's own weights, at each point of the box of half-width `radius`; infinite where not
    proved. The critical point in the box has index 1 where the first is negative and the second
    positive.

    λ₂(M) ≥ λ₁(M + vvᵀ) for any vector v (Weyl): v is the lowest eigenvector in floating point, of
    a length that lifts its eigenvalue to the highest.
    """
    with flint.ctx.workprec(precision):
        matrix = enclosure.hessian(_box(center, radius))
        guess = middle(matrix)
        if not np.isfinite(guess).all():
            return math.inf, -math.inf
        values, vectors = np.linalg.eigh((guess + guess.T) / 2)
        slack = SLACK * float(max(abs(values[0]), abs(values[-1])))
        first = _up(_rayleigh(matrix, vectors[:, :1]))
        if len(values) == 1:
            return first, math.inf
        lift = math.sqrt(values[-1] - values[0]) * vectors[:, :1]
        column = exact(lift)
        lifted = matrix + column * column.transpose()
        near = (guess + guess.T) / 2 + lift @ lift.T
        return first, _down(_proved_shift(lifted, near, float(values[1]) - slack))


def lowest_bound(
    enclosure: Enclosure, center: np.ndarray, radius: float, precision: int = 64
) -> float:
    """A lower bound of the lowest eigenvalue of the Hessian in the model's own weights, at each
    point of the box of half-width `radius`; −∞ where none is proved. Above 0 the loss is convex on
    the box, strictly."""
    with flint.ctx.workprec(precision):
        return _eigenvalue_bounds(enclosure.hessian(_box(center, radius)))[0]


def weakened(proof: Proof) -> Proof:
    """The same, a little weaker (SLACK), so that another machine's guesses prove it too."""
    scale = max(abs(proof.min_eigenvalue_low), abs(proof.max_eigenvalue_low))
    slack = {name: SLACK * scale for name in (*UPPER, *LOWER) if "eigenvalue" in name}
    slack |= {name: SLACK * (1 + abs(proof.loss_low)) for name in ("loss_low", "loss_high")}
    slack |= {name: (SLACK_FACTOR - 1) * getattr(proof, name) for name in UPPER[:2]}
    weaker = {name: _moved(getattr(proof, name), slack[name]) for name in UPPER}
    weaker |= {name: _moved(getattr(proof, name), -slack[name]) for name in LOWER}
    return replace(proof, **weaker)


def _moved(bound: float, by: float) -> float:
    return bound + by if math.isfinite(bound) else bound


def verdict(proof: Proof, infimum: float | None) -> str:
    """What the bounds prove the critical point to be; infimum: that of the loss, if known."""
    if not proof.distance <= proof.radius:
        return "unproved"
    if proof.min_eigenvalue_low > 0:
        spurious = infimum is not None and proof.loss_low > infimum
        return "spurious_minimum" if spurious else "minimum"
    if proof.max_eigenvalue_high < 0:
        return "maximum"
    if proof.min_eigenvalue_high < 0 < proof.max_eigenvalue_low:
        return "saddle"
    return "unproved"


def reason(proof: Proof) -> str:
    """Why nothing more is proved."""
    low, high = proof.min_eigenvalue_low, proof.min_eigenvalue_high
    return (
        proof.obstacle or f"the lowest eigenvalue is only known to lie in [{low:.2g}, {high:.2g}]"
    )


def _prove(enclosure: Enclosure, center: np.ndarray, radius: float | None) -> Proof:
    if not np.isfinite(center).all():
        return Proof(radius or SMALLEST_RADIUS, obstacle="the center is not finite")
    proof, hessian = _existence(enclosure, center, radius or SMALLEST_RADIUS)
    if radius is None and proof.distance > proof.radius / ROOM:
        wider = 2.0 ** math.ceil(math.log2(ROOM * proof.distance)) if proof.distance < 1 else 0
        if wider > proof.radius:
            proof, hessian = _existence(enclosure, center, wider)
    if proof.obstacle:
        return Proof(proof.radius, proof.obstacle)
    box = _box(center, proof.radius)
    proof = _with_loss(proof, enclosure.loss(box))
    own = type(enclosure).blocks is Enclosure.blocks
    blocks = [Block("all", 1, hessian)] if own else enclosure.blocks(box)
    return _with_eigenvalues(proof, blocks)


def _box(center: np.ndarray, radius: float) -> arb_mat:
    return arb_mat(len(center), 1, [arb(x, radius) for x in center.tolist()])


def _existence(enclosure: Enclosure, center: np.ndarray, radius: float) -> tuple[Proof, arb_mat]:
    """Krawczyk's test: with δ = ‖A∇L(c)‖ and κ = ‖I − A∇²L(box)‖ in the maximum norm, the map
    w ↦ w − A∇L(w) sends the box into its inside where δ + κr < r. As κ < 1 then, A is
    invertible and the map contracts: there is exactly one critical point, within δ/(1 − κ)."""
    box = _box(center, radius)
    failed = Proof(radius)
    if not enclosure.smooth(box):
        return replace(failed, obstacle="the loss is not proved smooth on the box"), box
    hessian = enclosure.hessian(box)
    guess = middle(hessian)
    if not np.isfinite(guess).all():
        return replace(failed, obstacle="the Hessian can't be enclosed"), hessian
    try:
        guess = np.linalg.inv(guess)
    except np.linalg.LinAlgError:
        return replace(failed, obstacle="the Hessian is singular"), hessian
    inverse = exact(guess)
    delta = _largest(inverse * enclosure.gradient(_box(center, 0.0)))
    defect = inverse * hessian
    for i in range(len(center)):
        defect[i, i] -= 1
    kappa = _row_sum_norm(defect)
    if not kappa < 1:
        return replace(
            failed, obstacle=f"no contraction is proved (factor {_up(kappa):.2g})"
        ), hessian
    distance = _up(delta / (1 - kappa))
    proof = replace(failed, distance=distance, contraction=_up(kappa))
    if not delta + kappa * radius < radius:
        obstacle = f"the box is too small: the critical point is {distance:.2g} away or not there"
        return replace(proof, obstacle=obstacle), hessian
    return proof, hessian


def _with_loss(proof: Proof, loss: arb) -> Proof:
    return replace(proof, loss_low=_down(loss), loss_high=_up(loss))


def _with_eigenvalues(proof: Proof, blocks: list[Block]) -> Proof:
    """Bounds of the lowest and the highest eigenvalue, over all blocks."""
    bounds = [_eigenvalue_bounds(block.matrix) for block in blocks]
    lows, highs, highest_lows, highest_highs = zip(*bounds, strict=True)
    return replace(
        proof,
        min_eigenvalue_low=min(lows),
        min_eigenvalue_high=min(highs),
        max_eigenvalue_low=max(highest_lows),
        max_eigenvalue_high=max(highest_highs),
    )


def _eigenvalue_bounds(matrix: arb_mat) -> tuple[float, float, float, float]:
    """Lower and upper bounds of the lowest eigenvalue and of the highest one.

    The upper bound of the highest costs a product of matrices more, and is of interest only
    where all eigenvalues may be negative; elsewhere it is left infinite.
    """
    center = middle(matrix)
    if not np.isfinite(center).all():
        return -math.inf, math.inf, -math.inf, math.inf
    center = (center + center.T) / 2
    last = len(center) - 1
    (lowest, *_), first = scipy.linalg.eigh(center, subset_by_index=[0, 0])
    (highest, *_), final = scipy.linalg.eigh(center, subset_by_index=[last, last])
    scale = float(max(abs(lowest), abs(highest)))
    shift = SHIFT * scale
    below = _proved_shift(matrix, center, float(lowest - shift))
    above = math.inf
    if highest < 0:
        above = -_down(_proved_shift(matrix * -1, -center, float(-highest - shift)))
    first, final = _rayleigh(matrix, first), _rayleigh(matrix, final)
    return _down(below), _up(first), _down(final), above


def _proved_shift(matrix: arb_mat, center: np.ndarray, shift: float) -> arb:
    """A lower bound of the lowest eigenvalue near `shift`; −∞ where there is none.

    With R the Cholesky factor of M − μI in floating point and E = M − μI − RRᵀ, in balls, each
    symmetric matrix of the enclosure is μI + RRᵀ + E ⪰ (μ − ‖E‖)I, whatever R is, and the
    spectral norm of E is at most its largest row sum.
    """
    try:
        factor = scipy.linalg.cholesky(center - shift * np.eye(len(center)), lower=True)
    except np.linalg.LinAlgError:
        return arb.neg_inf()
    triangle = exact(factor)
    rest = matrix - triangle * triangle.transpose()
    for i in range(len(center)):
        rest[i, i] -= shift
    return shift - _row_sum_norm(rest)


def _rayleigh(matrix: arb_mat, vector: np.ndarray) -> arb:
    """vᵀMv/vᵀv, between the lowest and the highest eigenvalue of M."""
    column = exact(vector)
    row = column.transpose()
    return (row * (matrix * column))[0, 0] / (row * column)[0, 0]


def exact(array: np.ndarray) -> arb_mat:
    """Floating-point numbers as the dyadic numbers that they are."""
    return arb_mat(*array.shape, array.ravel().tolist())


def middle(matrix: arb_mat) -> np.ndarray:
    """Midpoints, rounded: a guess."""
    # entry by entry: a list of all entries takes more memory than the matrix
    rows, columns = matrix.nrows(), matrix.ncols()
    return np.array([[float(matrix[i, j]) for j in range(columns)] for i in range(rows)])


def _largest(vector: arb_mat) -> arb:
    """An upper bound of max|xᵢ|."""
    largest = arb(0)
    for x in vector.entries():
        largest = largest.max(x.abs_upper())
    return largest


def _row_sum_norm(matrix: arb_mat) -> arb:
    """An upper bound of the largest row sum max_i Σ_j |m_ij|."""
    largest = arb(0)
    for i in range(matrix.nrows()):
        row = (matrix[i, j].abs_upper() for j in range(matrix.ncols()))
        largest = largest.max(sum(row, arb(0)))
    return largest.upper()


def _down(x: arb) -> float:
    """A float64 that is proved to be at most x, hardly below it; −∞ where x is not finite."""
    found = float(x.lower())
    if not math.isfinite(found):
        return -math.inf
    while not arb(found) <= x:
        found = math.nextafter(found, -math.inf)
    return found


def _up(x: arb) -> float:
    """A float64 that is proved to be at least x; ∞ where x is not finite."""
    return 0.0 - _down(-x)
