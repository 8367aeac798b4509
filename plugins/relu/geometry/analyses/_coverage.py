"""How much of a domain of angles the boxes of a proof leave open."""

from __future__ import annotations

import numpy as np

FULL_TURN = 2 * np.pi


def uncovered_share(area: float, bounds: np.ndarray) -> float:
    """The share of this area by which that of boxes (box, bound) with bounds (x_low, x_high, t_low,
    t_high), which do not overlap, is off."""
    sizes = (bounds[:, 1] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 2])
    return abs(1 - sizes.sum() / area)


def uncovered_domain(
    bounds: np.ndarray, theta: np.ndarray, phi: np.ndarray, half: np.ndarray
) -> float:
    """The share of 0 < θ < π, 0 ≤ φ ≤ 2π that lies in none of the boxes.

    bounds: (box, bound) in coordinates (x, t), of which θ and φ are affine functions in each at a
    fixed other one, θ of x alone; theta, phi: (box, corner) those at (x_low, t_low),
    (x_high, t_low), (x_high, t_high), (x_low, t_high); half: (box,) bool, only t ≥ x counts.
    What is open is measured in φ, exactly, at the middle of each strip of θ in which the same boxes
    lie.
    """
    edges = np.unique(np.clip(np.concatenate([[0, np.pi], theta.ravel()]), 0, np.pi))
    middles, widths = (edges[1:] + edges[:-1]) / 2, np.diff(edges)
    low, high = theta.min(axis=1), theta.max(axis=1)
    left_open = []
    for at in middles:
        here = (low < at) & (at < high)
        spans = _spans(bounds[here], theta[here], phi[here], half[here], at)
        left_open.append(_open_length(*spans))
    return float(widths @ left_open) / (np.pi * FULL_TURN)


def _spans(bounds, theta, phi, half, at: float) -> tuple[np.ndarray, np.ndarray]:
    """Both ends (box,) of what each box covers of φ at this θ."""
    part = (at - theta[:, 0]) / (theta[:, 1] - theta[:, 0])
    x = bounds[:, 0] + part * (bounds[:, 1] - bounds[:, 0])
    first, last = (
        phi[:, one] + part * (phi[:, other] - phi[:, one]) for one, other in ((0, 1), (3, 2))
    )
    t_low, t_high = bounds[:, 2], bounds[:, 3]
    start = np.where(half, np.clip(x, t_low, t_high), t_low)
    first = first + (start - t_low) / (t_high - t_low) * (last - first)
    return np.minimum(first, last), np.maximum(first, last)


def _open_length(low: np.ndarray, high: np.ndarray) -> float:
    """The length of [0, 2π] in none of the intervals from low to high, which have period 2π."""
    shifts = np.array([[-FULL_TURN], [0], [FULL_TURN]])
    low, high = (np.clip(ends + shifts, 0, FULL_TURN).ravel() for ends in (low, high))
    order = np.argsort(low)
    reached = np.maximum.accumulate(np.concatenate([[0.0], high[order]]))
    return float(np.maximum(np.append(low[order], FULL_TURN) - reached, 0).sum())
