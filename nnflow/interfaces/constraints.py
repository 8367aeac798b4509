"""Closed convex sets that a model's weights may be confined to.

A set C = {w : gᵢ(w) ≤ 0, and gⱼ(w) = 0 for equations} is given by what algorithms ask of it: the
Euclidean projection P onto it, its minimizers of linear functions, and near its points the signed
distances gᵢ, whose gradients nᵢ are the outward unit normals. A point w minimizes L over C to first
order where w = P(w − ∇L), or, with multipliers μᵢ ≥ 0 of the active constraints,
∇L + Σ μᵢnᵢ = 0 (Karush, Kuhn & Tucker; Nocedal & Wright 2006, Numerical Optimization, Chapter 12).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nnflow.base.errors import UserError
from nnflow.base.lazy import torch
from nnflow.base.least_squares import nonnegative

TOUCHING = 1e-9
"""A constraint is active within this distance, relative to 1 + ‖w‖; projections are exact to
rounding."""
CONTRADICTORY = 1e-7
"""Residual, 1/√(1 + d²) at the distance d in units of the largest distance from a wall, below which
a polyhedron counts as empty."""


class ConvexSet:
    """A closed convex set of flat weights (run, weight); every method sees many runs at once."""

    def project(self, weights: torch.Tensor) -> torch.Tensor:
        """P(w), the nearest points of the set, (run, weight); points of the set stay as they
        are."""
        raise NotImplementedError

    def extreme(self, slopes: torch.Tensor) -> torch.Tensor:
        """argmin ⟨slope, w⟩ over the set, (run, weight). Raises UserError where there is none."""
        raise NotImplementedError

    def values(self, weights: torch.Tensor) -> torch.Tensor:
        """g(w), (run, constraint): signed distances, ≤ 0 in the set; −∞ for none."""
        raise NotImplementedError

    def normals(self, weights: torch.Tensor) -> torch.Tensor:
        """∇gᵢ, outward and of length 1, (run, constraint, weight)."""
        raise NotImplementedError

    def bending(self, weights: torch.Tensor, multipliers: torch.Tensor) -> torch.Tensor:
        """Σ μᵢ∇²gᵢ for multipliers (run, constraint), (run, weight, weight); 0 where the
        constraints are flat."""
        return weights.new_zeros(*weights.shape, weights.shape[1])

    @property
    def equations(self) -> np.ndarray | None:
        """Which constraints are equations, (constraint,) bool; None: none of them."""
        return None

    def active(self, weights: torch.Tensor) -> torch.Tensor:
        """Which constraints are active, (run, constraint) bool; equations always are."""
        reach = TOUCHING * (1 + torch.linalg.vector_norm(weights, dim=1, keepdim=True))
        touching = self.values(weights) >= -reach
        if self.equations is None:
            return touching
        return touching | torch.as_tensor(self.equations, device=weights.device)


@dataclass(frozen=True)
class Box(ConvexSet):
    """lowerᵢ ≤ wᵢ ≤ upperᵢ; a bound may be infinite. The constraints are first the lower bounds,
    then the upper ones."""

    lower: tuple[float, ...]
    upper: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.lower) != len(self.upper):
            raise ValueError("lower and upper must be of one length")
        if any(not low <= high for low, high in zip(self.lower, self.upper, strict=True)):
            raise ValueError("lower must not exceed upper")

    def project(self, weights: torch.Tensor) -> torch.Tensor:
        lower, upper = self._bounds(weights)
        return weights.clamp(lower, upper)

    def extreme(self, slopes: torch.Tensor) -> torch.Tensor:
        lower, upper = self._bounds(slopes)
        least = torch.where(slopes > 0, lower, upper)
        # where nothing depends on it: the point of the interval nearest to 0
        least = torch.where(slopes == 0, torch.zeros_like(slopes).clamp(lower, upper), least)
        if not torch.isfinite(least).all():
            raise UserError("a linear function has no minimum on this box: it has no bound there")
        return least

    def values(self, weights: torch.Tensor) -> torch.Tensor:
        lower, upper = self._bounds(weights)
        return torch.cat([lower - weights, weights - upper], dim=1)

    def normals(self, weights: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
        return torch.cat([-eye, eye]).expand(len(weights), -1, -1)

    def _bounds(self, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            torch.tensor(self.lower, dtype=like.dtype).to(like.device),
            torch.tensor(self.upper, dtype=like.dtype).to(like.device),
        )


@dataclass(frozen=True)
class Ball(ConvexSet):
    """‖w − center‖ ≤ radius."""

    center: tuple[float, ...]
    radius: float

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ValueError("radius must be positive")

    def project(self, weights: torch.Tensor) -> torch.Tensor:
        away, distance = self._away(weights)
        onto = self._center(weights) + away * (self.radius / distance)
        size = self.radius + torch.linalg.vector_norm(self._center(weights))
        outside = distance > self.radius + 4 * torch.finfo(weights.dtype).eps * size
        return torch.where(outside, onto, weights)

    def extreme(self, slopes: torch.Tensor) -> torch.Tensor:
        length = torch.linalg.vector_norm(slopes, dim=1, keepdim=True)
        direction = torch.where(length > 0, slopes / length, 0.0)
        return self._center(slopes) - self.radius * direction

    def values(self, weights: torch.Tensor) -> torch.Tensor:
        return self._away(weights)[1] - self.radius

    def normals(self, weights: torch.Tensor) -> torch.Tensor:
        away, distance = self._away(weights)
        return torch.where(distance > 0, away / distance, 0.0)[:, None]

    def bending(self, weights: torch.Tensor, multipliers: torch.Tensor) -> torch.Tensor:
        """μ(I − nnᵀ)/‖w − center‖, where the constraint is active."""
        normal, distance = self.normals(weights), self._away(weights)[1]
        eye = torch.eye(weights.shape[1], dtype=weights.dtype, device=weights.device)
        strength = torch.where(distance > 0, multipliers / distance, 0.0)
        return strength[..., None] * (eye - normal.mT @ normal)

    def _center(self, like: torch.Tensor) -> torch.Tensor:
        return torch.tensor(self.center, dtype=like.dtype).to(like.device)

    def _away(self, weights: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        away = weights - self._center(weights)
        return away, torch.linalg.vector_norm(away, dim=1, keepdim=True)


@dataclass(frozen=True)
class Simplex(ConvexSet):
    """wᵢ ≥ 0 and Σᵢ wᵢ = total, for `size` weights. The equation is the last constraint."""

    size: int
    total: float = 1.0

    def __post_init__(self) -> None:
        if self.size < 1 or not self.total > 0:
            raise ValueError("size and total must be positive")

    def project(self, weights: torch.Tensor) -> torch.Tensor:
        """max(w − τ, 0) with the τ at which the sum is right, from the sorted weights (Held,
        Wolfe & Crowder 1974)."""
        falling = weights.sort(dim=1, descending=True).values
        count = torch.arange(1, self.size + 1, dtype=weights.dtype, device=weights.device)
        shift = (falling.cumsum(1) - self.total) / count
        kept = (falling > shift).sum(1, keepdim=True).clamp_min(1)
        onto = (weights - shift.gather(1, kept - 1)).clamp_min(0)
        rounding = 4 * self.size * torch.finfo(weights.dtype).eps * self.total
        inside = (weights >= 0).all(1) & ((weights.sum(1) - self.total).abs() <= rounding)
        return torch.where(inside[:, None], weights, onto)

    def extreme(self, slopes: torch.Tensor) -> torch.Tensor:
        corner = torch.zeros_like(slopes)
        return corner.scatter_(1, slopes.argmin(1, keepdim=True), self.total)

    def values(self, weights: torch.Tensor) -> torch.Tensor:
        excess = (weights.sum(1, keepdim=True) - self.total) / self.size**0.5
        return torch.cat([-weights, excess], dim=1)

    def normals(self, weights: torch.Tensor) -> torch.Tensor:
        eye = torch.eye(self.size, dtype=weights.dtype, device=weights.device)
        even = torch.full_like(eye[:1], self.size**-0.5)
        return torch.cat([-eye, even]).expand(len(weights), -1, -1)

    @property
    def equations(self) -> np.ndarray:
        return np.arange(self.size + 1) == self.size


@dataclass(frozen=True)
class Halfspaces(ConvexSet):
    """The polyhedron rowᵢ·w ≤ offsetᵢ, with equality in the first `equal` rows.

    Projection and linear minimization are solved run by run: a least-distance problem by
    non-negative least squares (Lawson & Hanson 1974, Solving Least Squares Problems, Chapter 23),
    and a linear program (HiGHS), whose minimizers are vertices where there are any.
    """

    rows: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]
    equal: int = 0

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.offsets):
            raise ValueError("rows and offsets must be of one length")
        if not np.linalg.norm(np.array(self.rows, dtype=float), axis=1).all():
            raise ValueError("a row is zero")

    def project(self, weights: torch.Tensor) -> torch.Tensor:
        rows, offsets = self._scaled
        points = weights.detach().cpu().double().numpy()
        excess = points @ rows.T - offsets
        excess[:, : self.equal] = np.abs(excess[:, : self.equal])
        outside = excess.max(axis=1, initial=-np.inf) > _rounding(points, offsets)
        # runs that are not finite have diverged, and have no nearest point
        outside &= np.isfinite(points).all(axis=1)
        nearest = weights.clone()
        for run in np.flatnonzero(outside):
            nearest[run] = torch.as_tensor(self._nearest(points[run])).to(weights)
        return nearest

    def extreme(self, slopes: torch.Tensor) -> torch.Tensor:
        corners = [self._corner(slope) for slope in slopes.detach().cpu().double().numpy()]
        return torch.as_tensor(np.stack(corners)).to(slopes)

    def values(self, weights: torch.Tensor) -> torch.Tensor:
        rows, offsets = (torch.as_tensor(part).to(weights) for part in self._scaled)
        return weights @ rows.T - offsets

    def normals(self, weights: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self._scaled[0]).to(weights).expand(len(weights), -1, -1)

    @property
    def equations(self) -> np.ndarray:
        return np.arange(len(self.rows)) < self.equal

    @cached_property
    def _scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of length 1, and their offsets."""
        rows = np.array(self.rows, dtype=float)
        length = np.linalg.norm(rows, axis=1)
        return rows / length[:, None], np.array(self.offsets, dtype=float) / length

    @cached_property
    def _subspace(self) -> tuple[np.ndarray, np.ndarray]:
        """A solution of the equations, and an orthonormal basis of those without right side in its
        columns."""
        from scipy.linalg import null_space

        rows, offsets = (part[: self.equal] for part in self._scaled)
        if self.equal == 0:
            size = len(self.rows[0])
            return np.zeros(size), np.eye(size)
        return np.linalg.lstsq(rows, offsets)[0], null_space(rows)

    def _nearest(self, point: np.ndarray) -> np.ndarray:
        """P of one point."""
        rows, offsets = (part[self.equal :] for part in self._scaled)
        origin, basis = self._subspace
        start = basis.T @ (point - origin)
        rows, offsets = rows @ basis, offsets - rows @ origin
        # the shortest step u with rows·u ≤ −excess
        excess = rows @ start - offsets
        if not (excess > 0).any():
            return origin + basis @ start
        right = np.zeros(len(start) + 1)
        right[-1] = 1
        shares, residual = nonnegative(np.vstack([-rows.T, excess / np.abs(excess).max()]), right)
        if residual < CONTRADICTORY:
            raise UserError("the constraints contradict each other: no weights satisfy them all")
        held = shares > 0
        if not held.any():  # what is outside is rounding
            return origin + basis @ start
        # the constraints that hold the point are known now: once more, to rounding
        step = np.linalg.lstsq(rows[held], -excess[held])[0]
        return origin + basis @ (start + step)

    def _corner(self, slope: np.ndarray) -> np.ndarray:
        from scipy.optimize import linprog

        rows, offsets = self._scaled
        split = self.equal
        found = linprog(
            slope, rows[split:], offsets[split:], rows[:split], offsets[:split], (None, None)
        )
        if found.x is None:
            raise UserError(f"a linear function has no minimum on this polyhedron: {found.message}")
        return found.x


def _rounding(points: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """How far outside (run,) rounding may leave a projected point."""
    reach = np.abs(offsets).max(initial=1.0) + np.linalg.norm(points, axis=1)
    return 16 * np.finfo(float).eps * reach
