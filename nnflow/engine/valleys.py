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
"""Maximum number of steps of a walk; 20 to 60 are typical."""
LONGEST, SHORTEST = 0.3, 1e-4
"""Lengths of a step, relative to 1 + the distance to the landmark; a run has stuck at the shortest.
Valleys that are closer than a step are distinguished as long as each step is nearly straight."""
ARRIVED = 1e-9
"""A run has arrived where the way to the landmark has no longer part than this along the valley,
relative to 1 + its length."""
CORRECTIONS = 12
"""Maximum number of corrections across the valley; each takes a gradient."""
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

    Gradient descent of the distance along the valley, with the step lengths of Barzilai & Borwein
    (1988) and no step away from the landmark.
    """
    at, count = weights.clone(), torch.as_tensor(nullity, device=weights.device)
    arrived = torch.zeros(len(weights), dtype=torch.bool, device=weights.device)
    longest, factor = torch.full_like(at[:, 0], LONGEST), torch.ones_like(at[:, 0])
    last_pull, moved = torch.zeros_like(at), torch.zeros_like(at)
    loss, moving = objective.loss(at), torch.arange(len(at), device=weights.device)
    eigenvalues, eigenvectors = torch.empty_like(at), at.new_empty(*at.shape, at.shape[1])
    going = moving
    for _ in range(STEPS):
        # where a run stayed, its Hessian is what it was
        if len(moving):
            hessian = finite(objective.take(moving.cpu().numpy()).hessian(at[moving]))
            eigenvalues[moving], eigenvectors[moving] = torch.linalg.eigh(hessian)
        part, here = objective.take(going.cpu().numpy()), at[going]
        values, vectors = eigenvalues[going], eigenvectors[going]
        order = values.abs().argsort(dim=1).argsort(dim=1)
        flat = order < count[going, None].to(order)
        way = landmarks[going] - here
        distance = torch.linalg.vector_norm(way, dim=1)
        pull = _along(way, vectors, flat)
        size = torch.linalg.vector_norm(pull, dim=1)
        done = size <= ARRIVED * (1 + distance)
        turn = (moved[going] * (last_pull[going] - pull)).sum(dim=1)
        square = moved[going].square().sum(dim=1)
        factor[going] = torch.where(turn > 0, square / turn.clamp_min(1e-300), factor[going])
        reach = longest[going] * (1 + distance)
        length = torch.minimum(factor[going] * size, reach)
        step = pull * (length / size.clamp_min(1e-300))[:, None]
        below = critical_below[going]
        bend = BENT * length
        there, bent, still = _corrected(part, here + step, values, vectors, flat, below, bend)
        level = part.loss(there)
        good = (
            still
            & (bent <= bend)
            & (torch.linalg.vector_norm(landmarks[going] - there, dim=1) <= distance)
            & ((level - loss[going]).abs() <= below)
        )
        arrived[going[done]] = True
        taken = good & ~done
        moving = going[taken]
        moved[moving], last_pull[moving] = (there - here)[taken], pull[taken]
        at[moving], loss[moving] = there[taken], level[taken]
        longest[moving] = (2 * longest[moving]).clamp_max(LONGEST)
        refused = going[~good & ~done]
        # no longer than half of what was tried
        longest[refused] = (length / (1 + distance))[~good & ~done] / 2
        stuck = longest[going] < SHORTEST * torch.minimum(torch.ones_like(size), size)
        going = going[~done & ~stuck]
        if len(going) == 0:
            break
    return at, arrived


def _corrected(objective, there, values, vectors, flat, below, bend):
    """Points moved across the valley until the gradient is below `below` (run,), how far that was,
    (run,), and whether it is, (run,). By the curvature before the step. Those that went farther
    than `bend` (run,) stop there, as they are refused."""
    begun = there
    inverse = torch.where(flat, 0.0, 1 / torch.where(flat, 1.0, values))
    for _ in range(CORRECTIONS):
        gradient = objective.gradient(there)
        still = torch.linalg.vector_norm(gradient, dim=1) < below
        ended = still | (torch.linalg.vector_norm(there - begun, dim=1) > bend)
        if ended.all():
            break
        across = vectors @ (inverse[..., None] * (vectors.mT @ gradient[..., None]))
        there = torch.where(ended[:, None], there, there - across.squeeze(-1))
    still = torch.linalg.vector_norm(objective.gradient(there), dim=1) < below
    return there, torch.linalg.vector_norm(there - begun, dim=1), still


def _along(points: torch.Tensor, vectors: torch.Tensor, flat: torch.Tensor) -> torch.Tensor:
    """The part of points (run, weight) along the flat eigenvectors."""
    parts = torch.where(flat, (vectors.mT @ points[..., None]).squeeze(-1), 0.0)
    return (vectors @ parts[..., None]).squeeze(-1)


def finite(hessian: torch.Tensor) -> torch.Tensor:
    """Hessians that are not finite, out of reach, in a form that eigenvalues can be asked of."""
    return torch.nan_to_num(hessian, nan=1e300, posinf=1e300, neginf=-1e300)
