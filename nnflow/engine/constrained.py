"""Critical points on a convex set: faces, multipliers, and kinds on the critical cone.

At a point w with w = P(w − ∇L) there are multipliers μ ≥ 0 of the active constraints with
∇L + Σ μᵢnᵢ = 0. A constraint is held strongly where some such μᵢ is positive, otherwise weakly.
The directions that neither leave the set nor raise the loss to first order form the critical cone

    K = {d : nᵢ·d = 0 for i held strongly, nᵢ·d ≤ 0 for i held weakly},

on which the Hessian of the Lagrangian, H = ∇²L + Σ μᵢ∇²gᵢ, decides: w is a strict local minimum
where dᵀHd > 0 for all d ≠ 0 of K, and none where dᵀHd < 0 for one (Nocedal & Wright 2006,
Section 12.5). Where no constraint is held weakly K is a subspace and eigenvalues decide; where H is
negative definite, whether K is {0}; else it is a question of copositivity, which is decided for a
few constraints. As without constraints, a curvature counts as known where Newton's step, here along
the face on which the point lies, changes it little (engine/resolution.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import torch

from nnflow.base.least_squares import nonnegative
from nnflow.engine.critical import (
    KINDS,
    UNDETERMINED,
    critical_limit,
    inertia,
    small_unit,
    zero_range,
)
from nnflow.engine.objective import Objective
from nnflow.engine.resolution import Probe, doubts
from nnflow.study.stage_settings import Classify

DEPENDENT = 1e-10
"""Relative singular value below which normals count as linearly dependent."""
SUPPORT = 1e-6
"""Multiplier above which a linear program, exact to 1e-7, shows that a constraint is held."""
EXACT = 1e-7
"""Residual up to which multipliers solve the equations as exactly as a linear program."""
WEAK = 10
"""Most weakly held constraints for which copositivity is decided: it takes 2 to their number
of small linear systems."""


@dataclass(frozen=True)
class OnFace:
    """An objective along the faces in which its points lie, as `polish` wants it.

    Gradient and Hessian are those along the tangent space of the active constraints, in all
    coordinates; across it the Hessian is the identity and the gradient 0. A point at which a step
    meets a further constraint goes on along the smaller face.
    """

    objective: Objective

    def take(self, rows):
        return replace(self, objective=self.objective.take(rows))

    def loss(self, weights):
        return self.objective.loss(weights)

    def gradient(self, weights):
        tangent, _ = self._tangent(weights)
        return (tangent @ self.objective.gradient(weights)[..., None]).squeeze(-1)

    def hessian(self, weights):
        tangent, normals = self._tangent(weights)
        gradient = self.objective.gradient(weights)
        multipliers = -(torch.linalg.pinv(normals.mT, rtol=DEPENDENT) @ gradient[..., None])
        bending = self.objective.constraints.bending(weights, multipliers.squeeze(-1))
        whole = self.objective.hessian(weights) + bending
        eye = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
        return tangent @ whole @ tangent + eye - tangent

    def to_tangent(self, weights, vectors):
        return vectors

    def from_tangent(self, weights, vectors):
        return vectors

    def retract(self, weights):
        return self.objective.retract(weights)

    def _tangent(self, weights):
        """Projections onto the tangent spaces of the faces (run, weight, weight), and the normals
        (run, constraint, weight), 0 where a constraint is not active."""
        held = self.objective.constraints
        normals = held.normals(weights) * held.active(weights)[..., None]
        eye = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
        return eye - torch.linalg.pinv(normals, rtol=DEPENDENT) @ normals, normals


@dataclass(frozen=True)
class Held:
    """The active constraints of one point, with multipliers.

    strong, weak: normals (constraint, weight) of those held strongly and weakly; equations are
    among the first. multipliers: (constraint,) of all constraints, 0 where one is not active.
    least: the lowest multiplier of the active inequalities, by least squares where their normals
    are independent: negative where the loss falls on the way off one; NaN where none is active.
    rises: does the loss rise to first order on some way into the set?
    """

    strong: np.ndarray
    weak: np.ndarray
    multipliers: np.ndarray
    active: int
    least: float
    rises: bool


def held_constraints(
    gradient: np.ndarray, normals: np.ndarray, active: np.ndarray, equal: np.ndarray, zero: float
) -> Held:
    """Multipliers of one point's constraints.

    gradient: (weight,). normals: (constraint, weight). active, equal: (constraint,) bool.
    zero: a multiplier up to this counts as zero.
    """
    # an equation is two inequalities that face each other
    rows = np.concatenate([np.flatnonzero(active), np.flatnonzero(equal)])
    signs = np.where(np.arange(len(rows)) < active.sum(), 1.0, -1.0)
    cone = (signs[:, None] * normals[rows]).T
    shares, rest = nonnegative(cone, -gradient)
    _, away = nonnegative(cone, gradient)
    multipliers = np.zeros(len(normals))
    np.add.at(multipliers, rows, signs * shares)
    chosen = np.flatnonzero(active)
    independent = _rank(normals[chosen]) == len(chosen)
    if independent:
        strong = multipliers[chosen] > zero
        estimate = np.linalg.lstsq(normals[chosen].T, -gradient)[0] if len(chosen) else shares
    else:
        # one solution shows at once that those are held which it is positive in
        shown = (shares[: len(chosen)] > SUPPORT) & (rest <= EXACT)
        strong = _can_hold(cone, -gradient, shown)
        estimate = multipliers[chosen]
    strong |= equal[chosen]
    inequalities = ~equal[chosen]
    return Held(
        strong=normals[chosen[strong]],
        weak=normals[chosen[~strong]],
        multipliers=multipliers,
        active=int(inequalities.sum()),
        least=float(estimate[inequalities].min()) if inequalities.any() else np.nan,
        rises=bool(away > zero),
    )


def _can_hold(cone: np.ndarray, pull: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Which of the first columns of the cone are positive in a μ ≥ 0 with cone·μ = pull?

    known: (constraint,) bool, those of which it is known. A linear program raises min(μᵢ, 1),
    summed over the others; it is asked again until it raises none.
    """
    from scipy.optimize import linprog

    held, count = known.copy(), cone.shape[1]
    while not held.all():
        others = np.flatnonzero(~held)
        size = len(others)
        found = linprog(
            np.repeat([0.0, -1.0], [count, size]),
            A_ub=np.hstack([-np.eye(count)[others], np.eye(size)]), b_ub=np.zeros(size),
            A_eq=np.hstack([cone, np.zeros((len(cone), size))]), b_eq=pull,
            bounds=[(0, None)] * count + [(0, 1)] * size,
        )  # fmt: skip
        more = [] if found.x is None else others[found.x[count:] > SUPPORT]
        if not len(more):
            break
        held[more] = True
    return held


def _rank(rows: np.ndarray) -> int:
    return int(np.linalg.matrix_rank(rows, rtol=DEPENDENT)) if rows.size else 0


def null_space(rows: np.ndarray, size: int) -> np.ndarray:
    """Orthonormal basis of {d : rows·d = 0} in its columns, (size, dimension)."""
    if not len(rows):
        return np.eye(size)
    _, values, vectors = np.linalg.svd(rows)
    rank = int((values > DEPENDENT * values[0]).sum()) if values[0] > 0 else 0
    return vectors[rank:].T


@dataclass(frozen=True)
class Reduced:
    """What decides at one point.

    hessian: of the Lagrangian, BᵀHB (mode, mode), on the null space of the strongly held normals.
    held: the constraints. basis: B, (weight, mode). norm: ‖H‖. slope: the Lagrangian's gradient
    Bᵀ(∇L + Σ μᵢnᵢ), (mode,), 0 at a critical point.
    """

    hessian: np.ndarray
    held: Held
    basis: np.ndarray
    norm: float
    slope: np.ndarray


def reduced(objective: Objective, weights: torch.Tensor, zero: float) -> list[Reduced]:
    """For each run. zero: a multiplier up to this counts as zero; up to more where the loss is of a
    large unit (`critical.critical_limit`)."""
    held_by = objective.constraints
    gradients, normals = objective.gradient(weights).cpu().numpy(), held_by.normals(weights)
    hessians = objective.hessian(weights)
    zeros = critical_limit(zero, torch.linalg.matrix_norm(hessians, ord=2).cpu().numpy())
    sides, active = normals.cpu().numpy(), held_by.active(weights).cpu().numpy()
    count = active.shape[1]
    equal = np.zeros(count, bool) if held_by.equations is None else held_by.equations
    held = [
        held_constraints(gradient, side, at, equal, below)
        for gradient, side, at, below in zip(gradients, sides, active, zeros, strict=True)
    ]
    multipliers = torch.as_tensor(np.stack([one.multipliers for one in held])).to(weights)
    whole = hessians + held_by.bending(weights, multipliers)
    norms = torch.linalg.matrix_norm(whole, ord=2).cpu().numpy()
    found = []
    for run, (one, hessian) in enumerate(zip(held, whole.cpu().numpy(), strict=True)):
        basis = null_space(one.strong, weights.shape[1])
        slope = basis.T @ (gradients[run] + one.multipliers @ sides[run])
        small = _within(hessian, basis)
        found.append(Reduced(small, one, basis, float(norms[run]), slope))
    return found


def _within(hessian: np.ndarray, basis: np.ndarray) -> np.ndarray:
    small = basis.T @ hessian @ basis
    return (small + small.T) / 2


def probe_on_faces(
    objective: Objective,
    weights: torch.Tensor,
    found: list[Reduced],
    rows: np.ndarray,
    zero: np.ndarray,
    error: np.ndarray,
) -> Probe:
    """Newton's step along the faces of the given runs, and what it met (`resolution.Probe`).

    The step is one in the null space of the strongly held normals, without its part across those
    held weakly; its end is projected onto the set. The multipliers stay as they are. zero, error:
    (row, 1), size up to which a curvature counts as zero, and the gradient's error.
    """
    part, size = objective.take(rows), weights.shape[1]
    along, steps = np.zeros((len(rows), size)), np.zeros((len(rows), size))
    for row, run in enumerate(rows):
        one = found[run]
        values, vectors = np.linalg.eigh(one.hessian)
        slope = vectors.T @ one.slope
        along[row, : len(values)] = np.maximum(np.abs(slope), error[row])
        usable = np.abs(values) > zero[row]
        length = np.where(usable, along[row, : len(values)] / np.where(usable, values, 1), 0)
        step = one.basis @ vectors @ np.where(slope < 0, -length, length)
        face = null_space(np.concatenate([one.held.strong, one.held.weak]), size)
        steps[row] = face @ face.T @ step
    at = torch.as_tensor(rows, device=weights.device)
    there = part.retract(weights[at] - torch.as_tensor(steps).to(weights))
    multipliers = np.stack([found[run].held.multipliers for run in rows])
    bending = objective.constraints.bending(there, torch.as_tensor(multipliers).to(weights))
    moved = (part.hessian(there) + bending).cpu().numpy()
    change = np.zeros(len(rows))
    for row, run in enumerate(rows):
        if len(here := found[run].hessian):
            after = np.linalg.eigvalsh(np.nan_to_num(_within(moved[row], found[run].basis)))
            change[row] = np.abs(after - np.linalg.eigvalsh(here)).max()
    length = torch.linalg.vector_norm(there - weights[at], dim=1).cpu().numpy()
    gradient = torch.linalg.vector_norm(part.stationarity(there), dim=1).cpu().numpy()
    return Probe(along, length, change, gradient)


def spectra(
    objective: Objective, weights: torch.Tensor, zero: float
) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues of the reduced Hessians and residuals, (run, mode), ascending; NaN where a run
    has fewer of them than weights."""
    from nnflow.engine.eigenvalues import dense_eigenvalues

    values = np.full(tuple(weights.shape), np.nan)
    residuals = values.copy()
    for run, one in enumerate(reduced(objective, weights, zero)):
        if size := len(one.hessian):
            found = dense_eigenvalues(torch.as_tensor(one.hessian)[None])
            values[run, :size], residuals[run, :size] = (part[0] for part in found)
    return values, residuals


def judge(
    objective: Objective,
    weights: torch.Tensor,
    settings: Classify,
    residual: np.ndarray,
    smooth: np.ndarray,
) -> dict[str, np.ndarray]:
    """Kinds on the critical cone and what they rest on, (run,) each.

    residual: of the first-order conditions, (run,). smooth: (run,) bool. index and nullity are
    those of the reduced Hessian where no constraint is held weakly, or where it is positive
    definite; else not determined. A vertex whose constraints are all held strongly has no modes: it
    is a minimum, with index and nullity 0.
    """
    found = reduced(objective, weights, settings.critical_below)
    values = np.full(tuple(weights.shape), np.nan)
    for run, one in enumerate(found):
        values[run, : len(one.hessian)] = np.linalg.eigvalsh(one.hessian)
    norms = np.array([one.norm for one in found])

    def probe(rows: torch.Tensor, zero: torch.Tensor, error: torch.Tensor) -> Probe:
        return probe_on_faces(objective, weights, found, rows.numpy(), zero.numpy(), error.numpy())

    obstacle, zero_below = doubts(values, norms, residual, smooth, settings, probe)
    index, nullity = inertia(values, zero_below, norms)
    known = np.array([not len(one.held.weak) for one in found])
    known |= (index == 0) & (nullity == 0)
    zeros = zero_below[:, 0] * norms
    return {
        "second_order": np.array(
            [_kind(one, zero) for one, zero in zip(found, zeros, strict=True)]
        ),
        "index": np.where(known, index, UNDETERMINED),
        "nullity": np.where(known, nullity, UNDETERMINED),
        "min_eigenvalue": np.fmin.reduce(values, axis=1),
        "max_eigenvalue": np.fmax.reduce(values, axis=1),
        "zero_range": zero_range(values, zero_below, norms),
        "obstacle": obstacle,
        "unit": small_unit(norms),
        "active": np.array([one.held.active for one in found]),
        "least_multiplier": np.array([one.held.least for one in found]),
    }


def _kind(point: Reduced, zero: float) -> int:
    """Index into KINDS of a point that is critical to first order."""
    hessian, held = point.hessian, point.held
    weak = held.weak @ point.basis
    sign = sign_on_cone(hessian, weak, zero)
    if sign > 0:
        return KINDS.index("minimum")
    if sign == 0:
        return KINDS.index("degenerate")
    if held.rises:
        return KINDS.index("saddle")
    # the loss falls in a direction of K, and K is the whole tangent cone
    opposite = sign_on_cone(-hessian, weak, zero)
    return KINDS.index({1: "maximum", 0: "degenerate", -1: "saddle"}[opposite])


def sign_on_cone(hessian: np.ndarray, weak: np.ndarray, zero: float) -> int:
    """1: dᵀHd > 0 for all d ≠ 0 with weak·d ≤ 0; −1: dᵀHd < 0 for one; 0: not decided.

    hessian: (mode, mode). weak: (constraint, mode). zero: curvatures up to this count as zero.
    """
    values = np.linalg.eigvalsh(hessian)
    if (values > zero).all():
        return 1
    if (values < -zero).all():
        return -1 if _has_direction(weak, len(hessian)) else 1
    free = null_space(weak, len(hessian))
    along = free.T @ hessian @ free
    values, vectors = np.linalg.eigh(along)
    if (values < -zero).any():
        return -1
    if (values <= zero).any() or _rank(weak) < len(weak) or len(weak) > WEAK:
        return 0
    # d = free·a − R·t with weak·R = I, t ≥ 0; a is best for t where along·a = freeᵀHR·t
    rays = np.linalg.pinv(weak)
    mixed = (vectors / np.sqrt(values)).T @ free.T @ hessian @ rays
    return _copositive(rays.T @ hessian @ rays - mixed.T @ mixed, zero)


def _has_direction(weak: np.ndarray, size: int) -> bool:
    """Is there a d ≠ 0 with weak·d ≤ 0?"""
    from scipy.optimize import linprog

    if _rank(weak) < size:
        return True
    # no d ≠ 0 has weak·d = 0, so that the sum of its entries tells
    found = linprog(weak.sum(axis=0), weak, np.zeros(len(weak)), bounds=(-1, 1))
    return bool(found.fun < -SUPPORT)


def _copositive(matrix: np.ndarray, zero: float) -> int:
    """1: tᵀMt > 0 for all t ≥ 0 but 0; −1: tᵀMt < 0 for one; 0: not decided.

    The least value on the simplex Σt = 1 is taken inside one of its faces, at a stationary point
    there: M_II t = value·1.
    """
    size = len(matrix)
    least, decided = np.inf, True
    for count in range(1, size + 1):
        for face in combinations(range(size), count):
            part = matrix[np.ix_(face, face)]
            if np.abs(np.linalg.eigvalsh(part)).min() <= zero:
                decided = False
                continue
            shares = np.linalg.solve(part, np.ones(count))
            if shares.sum() != 0 and (shares / shares.sum() >= 0).all():
                least = min(least, 1 / shares.sum())
    if least < -zero:
        return -1
    return int(decided and least > zero)
