"""Flat valleys: sets of degenerate points of one loss, and which of them are one.

A straight valley has one shortest point. In a curved one, runs walk to the point that is nearest to
a landmark, a fixed point of weight space: in steps along the null space of the Hessian, with
corrections across it, so that loss and gradient stay what they are. Runs that come to one place lie
in one valley, as the two walks are a path between them. Runs that come to different places may lie
in one valley all the same, whose distance to the landmark has several minima: those are others for
other landmarks (`families.split_valleys` looks at all of them).
"""

from __future__ import annotations

import numpy as np
import torch

from nnflow.engine.objective import Objective

LANDMARKS = 4
"""Places that each run walks to."""
MARKS = 3
"""Numbers that stand for a place: its parts along directions at random."""
WALKED = 100
"""Most weights with which runs walk: each step takes a whole Hessian."""
TOGETHER = 2**22
"""Most numbers of the Hessians of walks that go on side by side."""
STEPS = 200
"""Maximum number of steps of a walk; 10 to 40 are typical."""
LONGEST, SHORTEST = 0.3, 1e-4
"""Lengths of a step, relative to 1 + the distance to the landmark; a run has stuck at the shortest.
Valleys that are closer than a step are distinguished as long as each step is nearly straight."""
ARRIVED = 1e-9
"""A run has arrived where the way to the landmark has no longer part than this along the valley,
relative to 1 + its length."""
CORRECTIONS = 12
"""Maximum number of corrections across the valley; each takes a gradient."""
DIFFERENCE = 1e-6
"""Step of the difference that tells how the Hessian turns, relative to 1 + the size of weights."""
SECOND_DIFFERENCE = 1e-3
"""The same for a second difference, that of the gradient."""
STRAIGHT = 0.8
"""The part of the longest step that bends little enough which is tried, as curvature changes on the
way."""
LEAST_PROGRESS = 0.2
"""A correction is lengthened to this one's inverse at most."""
LEAST_CURVATURE = 1e-3
"""Least curvature of half the squared distance that steps count with; in straight valleys it is 1.
This one and the four before were each changed by factors of up to 100 (STRAIGHT to .5 and .95): of
2768 walks of `arbitrary_loss` 2759 to 2765 arrived, in 9.6 to 11.6 s."""
BENT = 0.25
"""Corrections may be as long as this fraction of the step: a step that turns farther is halved."""


def beside_valley(
    objective: Objective,
    weights: torch.Tensor,
    vectors: torch.Tensor,
    flat: torch.Tensor,
    zero: torch.Tensor,
    critical_below: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Where straight flat valleys are shortest, (run, weight), and which runs lie in one, (run,).

    vectors: (run, weight, mode). flat: (run, mode) bool, whose eigenvalue is zero. zero: (run, 1),
    up to which one is. critical_below: (run,). All points of a straight valley have one shortest
    one: the weights without their part along the flat directions. The valley is straight if the
    gradient vanishes and the Hessian is zero along the same directions there and at a place at
    random in them, about as far away as a weight is long: a curved valley may touch its tangent at
    one point, not at two.
    """
    shortest = weights - _along(weights, vectors, flat)
    away = torch.as_tensor(np.random.default_rng(0).standard_normal(weights.shape[1])).to(weights)
    straight = flat.any(dim=1)
    for place in (shortest, shortest + _along(away.expand_as(weights), vectors, flat)):
        still = torch.linalg.vector_norm(objective.gradient(place), dim=1) < critical_below
        level = (objective.loss(place) - objective.loss(weights)).abs() < critical_below
        turned = (finite(objective.hessian(place)) @ vectors) * flat[:, None]
        unbent = torch.linalg.vector_norm(turned, dim=1).amax(dim=1) <= zero.squeeze(1)
        straight = straight & still & level & unbent
    return shortest, straight


def marks(
    objective: Objective, weights: torch.Tensor, nullity: np.ndarray, critical_below: torch.Tensor
) -> np.ndarray:
    """What is the same for runs that came to one place, (run, LANDMARKS, MARKS); NaN where a run
    did not arrive. nullity: (run,), dimension of each run's valley. critical_below: (run,)."""
    runs, size = weights.shape
    drawn = np.random.default_rng(1).standard_normal((LANDMARKS, 1 + MARKS, size))
    landmarks, directions = torch.as_tensor(drawn).to(weights).split([1, MARKS], dim=1)
    run, goal = (index.ravel() for index in np.indices((runs, LANDMARKS)))
    place, arrived = torch.empty(len(run), size).to(weights), torch.empty(len(run)).bool()
    for rows in np.split(np.arange(len(run)), range(0, len(run), max(1, TOGETHER // size**2)))[1:]:
        some, below = run[rows], critical_below[run[rows]]
        part, at = objective.take(some), weights[some]
        place[rows], arrived[rows] = walk(part, at, nullity[some], landmarks[goal[rows], 0], below)
    parts = (directions[goal] @ place[..., None]).squeeze(-1) / size**0.5
    found = torch.where(arrived.to(parts.device)[:, None], parts, torch.nan)
    return found.reshape(runs, LANDMARKS, MARKS).cpu().numpy()


def walk(
    objective: Objective,
    weights: torch.Tensor,
    nullity: np.ndarray,
    landmarks: torch.Tensor,
    critical_below: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The places nearest to their landmarks (run, weight) that runs walk to within their valleys,
    (run, weight), and which have arrived, (run,).

    Newton's method for half the squared distance on the valley, with no step away from the
    landmark; see `_towards`.
    """
    at, count = weights.clone(), torch.as_tensor(nullity, device=weights.device)
    arrived = torch.zeros(len(weights), dtype=torch.bool, device=weights.device)
    longest, step, turn = torch.full_like(at[:, 0], LONGEST), at.clone(), at.clone()
    loss, moving = objective.loss(at), torch.arange(len(at), device=weights.device)
    values, vectors = at.clone(), at.new_empty(*at.shape, at.shape[1])
    flat, pulled = torch.zeros_like(at, dtype=torch.bool), longest.clone()
    going = moving
    for _ in range(STEPS):
        if len(moving):  # where a run stayed, all is what it was
            part = objective.take(moving.cpu().numpy())
            hessian = finite(part.hessian(at[moving]))
            values[moving], vectors[moving] = torch.linalg.eigh(hessian)
            order = values[moving].abs().argsort(dim=1).argsort(dim=1)
            flat[moving] = order < count[moving, None].to(order)
            local = values[moving], vectors[moving], flat[moving]
            way = landmarks[moving] - at[moving]
            pulled[moving] = torch.linalg.vector_norm(_along(way, *local[1:]), dim=1)
            step[moving] = _towards(part, at[moving], way, hessian, *local)
            turn[moving] = _turn(part, at[moving], step[moving], *local)
        distance = torch.linalg.vector_norm(landmarks[going] - at[going], dim=1)
        done = pulled[going] <= ARRIVED * (1 + distance)
        size = torch.linalg.vector_norm(step[going], dim=1)
        bending = torch.linalg.vector_norm(turn[going], dim=1).clamp_min(1e-300)
        length = size.minimum(longest[going] * (1 + distance))
        length = length.minimum(2 * STRAIGHT * BENT / bending)
        end = at[going] + step[going] * (length / size.clamp_min(1e-300))[:, None]
        guess = end + turn[going] * (length.square() / 2)[:, None]
        below, bend = critical_below[going], BENT * length
        part = objective.take(going.cpu().numpy())
        local = values[going], vectors[going], flat[going]
        there, bent, still = _corrected(part, end, guess, *local, below, bend)
        level = part.loss(there)
        near = torch.linalg.vector_norm(landmarks[going] - there, dim=1) <= distance
        good = still & (bent <= bend) & near & ((level - loss[going]).abs() <= below)
        arrived[going[done]] = True
        taken = good & ~done
        moving = going[taken]
        at[moving], loss[moving] = there[taken], level[taken]
        longest[moving] = (2 * longest[moving]).clamp_max(LONGEST)
        refused = going[~good & ~done]
        # no longer than half of what was tried
        longest[refused] = (length / (1 + distance))[~good & ~done] / 2
        stuck = longest[going] < SHORTEST * pulled[going].clamp_max(1)
        going = going[~done & ~stuck]
        if len(going) == 0:
            break
    return at, arrived


def _towards(objective, at, way, hessian, values, vectors, flat):
    """Newton's steps on valleys to the places nearest to `at` + `way`, (run, weight).

    On the valley, where ∇L = 0, a curve with the tangent t bends by −H⁺D³L(t, t, ·). The Hessian of
    half the squared distance along it is therefore tᵀ(I + D_mH)t with m = H⁺ way, D_mH being the
    derivative of the Hessian H along m (by a difference: its error slows the last steps, no more).
    Of its eigenvalues the absolute values count, so that each step shortens the way.
    """
    across = _across(way, values, vectors, flat)
    scale = torch.linalg.vector_norm(across, dim=1).clamp_min(1e-300)
    ahead = DIFFERENCE * (1 + torch.linalg.vector_norm(at, dim=1)) / scale
    turned = finite(objective.hessian(at + ahead[:, None] * across)) - hessian
    bent = vectors.mT @ (turned / ahead[:, None, None]) @ vectors
    bent = torch.where(flat[:, :, None] & flat[:, None, :], (bent + bent.mT) / 2, 0.0)
    curvature, modes = torch.linalg.eigh(finite(torch.eye(at.shape[1]).to(bent) + bent))
    pull = torch.where(flat, (vectors.mT @ way[..., None]).squeeze(-1), 0.0)[..., None]
    shortened = (modes.mT @ pull) / curvature.abs().clamp_min(LEAST_CURVATURE)[..., None]
    return (vectors @ (modes @ shortened)).squeeze(-1)


def _turn(objective, at, step, values, vectors, flat):
    """How valleys bend where runs step: the second derivative −H⁺D³L(t, t, ·) of a curve on the
    valley with the tangent t = step/‖step‖, (run, weight)."""
    tangent = step / torch.linalg.vector_norm(step, dim=1, keepdim=True).clamp_min(1e-300)
    ahead = SECOND_DIFFERENCE * (1 + torch.linalg.vector_norm(at, dim=1, keepdim=True))
    there, back = (objective.gradient(at + side * ahead * tangent) for side in (1, -1))
    bent = (there - 2 * objective.gradient(at) + back) / ahead.square()
    return -_across(bent, values, vectors, flat)


def _corrected(objective, end, there, values, vectors, flat, below, bend):
    """Points moved across the valley until the gradient is below `below` (run,), how far they are
    from `end` then, (run,), and whether it is, (run,). By Broyden's method (1965; in the form of
    Kelley 1995, §7.3) from the curvature before the step. Those that went farther than `bend`
    (run,) stop there, as they are refused."""
    steps, squares = [], []
    for _ in range(CORRECTIONS):
        gradient = objective.gradient(there)
        still = torch.linalg.vector_norm(gradient, dim=1) < below
        ended = still | (torch.linalg.vector_norm(there - end, dim=1) > bend)
        if ended.all():
            break
        step = -_across(gradient, values, vectors, flat)
        for before, after, square in zip(steps, steps[1:], squares, strict=False):
            step = step + after * ((before * step).sum(dim=1, keepdim=True) / square)
        if steps:
            kept = (steps[-1] * step).sum(dim=1, keepdim=True) / squares[-1]
            step = step / (1 - kept).clamp_min(LEAST_PROGRESS)
        step = torch.where(ended[:, None], 0.0, step)
        steps.append(step)
        squares.append(step.square().sum(dim=1, keepdim=True).clamp_min(1e-300))
        there = there + step
    still = torch.linalg.vector_norm(objective.gradient(there), dim=1) < below
    return there, torch.linalg.vector_norm(there - end, dim=1), still


def _across(points, values, vectors, flat):
    """H⁺ times points, (run, weight)."""
    inverse = torch.where(flat, 0.0, 1 / torch.where(flat, 1.0, values))
    return (vectors @ (inverse[..., None] * (vectors.mT @ points[..., None]))).squeeze(-1)


def _along(points: torch.Tensor, vectors: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """The part of points (run, weight) along the flat eigenvectors."""
    parts = torch.where(flat, (vectors.mT @ points[..., None]).squeeze(-1), 0.0)
    return (vectors @ parts[..., None]).squeeze(-1)


def finite(hessian: torch.Tensor) -> torch.Tensor:
    """Hessians that are not finite, out of reach, in a form that eigenvalues can be asked of."""
    return torch.nan_to_num(hessian, nan=1e300, posinf=1e300, neginf=-1e300)
