"""Stationary points of a network that is not pyramidal, in closed form."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnflow import torch

from .._gradient_bound import smallest

HEIGHT = 0.5
"""The largest output of a hidden neuron; any in (0, 1) would do."""


class Point(NamedTuple):
    """A point of weight space: L, ‖∇L‖, the lowest eigenvalue of the Hessian, and the least of what
    the theorem wants positive: σ_N(x, 1), the last singular value of W_2, and σ'."""

    loss: float
    gradient: float
    eigenvalue: float
    margin: float


def is_thin(model) -> bool:
    """Is there one hidden layer of fewer neurons than outputs, and are (x, 1) independent?"""
    return (
        len(model.widths) == 3
        and model.widths[1] < min(model.widths[2], model.samples - 1)
        and model.samples <= model.widths[0] + 1
    )


def stationary_points(model) -> tuple[Point, Point]:
    """One that is not global, and one that is, of a tanh network that `is_thin`.

    With the singular vectors u_k, v_k and values s_k of the targets less their mean ȳ, and a set K
    of d_1 of them, let the hidden neurons be h_k = c v_kᵀ, W_2 = (u_k s_k/c) and b_2 = ȳ; as (x, 1)
    are independent, some (W_1 b_1) gives these h_k. The residual is −Σ s_k u_k v_kᵀ over k ∉ K, and
    is orthogonal to W_2, to the h_k and to 1: all derivatives are 0. L = Σ s_k²/2N over k ∉ K, so
    that K has to be the largest ones. W_2 has rank d_1 either way, the most that it can have.
    """
    _, targets = model.data()
    hidden, rank = model.widths[1], min(model.widths[2], model.samples - 1)
    left, values, right = np.linalg.svd(targets - targets.mean(axis=1, keepdims=True))
    return tuple(
        _point(model, left[:, kept], values[kept], right[kept], targets.mean(axis=1))
        for kept in (slice(rank - hidden, rank), slice(hidden))
    )


def _point(model, left, values, right, shift) -> Point:
    inputs, _ = model.data()
    joined = np.vstack([inputs, np.ones(model.samples)])
    scale = HEIGHT / np.abs(right).max()
    first = np.arctanh(scale * right) @ np.linalg.pinv(joined)
    second = left * values / scale
    weights = {"w1": first[:, :-1], "b1": first[:, -1], "w2": second, "b2": shift}
    batch = {name: torch.as_tensor(part[None]) for name, part in weights.items()}
    gradient = torch.cat([part.flatten() for part in model.gradient(batch, {}).values()])
    slope = 1 - np.square(np.tanh(first @ joined)).max()
    return Point(
        model.loss(batch, {}).item(),
        gradient.norm().item(),
        torch.linalg.eigvalsh(model.hessian(batch, {})[0])[0].item(),
        min(smallest(joined), smallest(second), slope),
    )
