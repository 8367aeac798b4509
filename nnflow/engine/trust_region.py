"""Steps of a trust region, from products of the Hessian alone, many runs at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from nnflow.base.lazy import torch


class Step(NamedTuple):
    """step p and its image Hp, (run, weight) each; at_edge (run,): is ‖p‖ the radius?"""

    step: torch.Tensor
    image: torch.Tensor
    at_edge: torch.Tensor


def trust_region_step(
    product: Callable[[torch.Tensor], torch.Tensor],
    gradient: torch.Tensor,
    radius: torch.Tensor,
    tolerance: torch.Tensor,
    most: int,
) -> Step:
    """p that lowers gᵀp + ½pᵀHp within ‖p‖ ≤ radius, by conjugate gradients.

    product: v ↦ Hv for vectors (run, weight). gradient: g (run, weight). radius, tolerance: (run,).
    A run ends when ‖Hp + g‖ ≤ tolerance, where p would leave the region, where the curvature along
    a direction is not positive (it goes to the edge then), or after `most` products.

    Source: Steihaug 1983; Toint 1981.
    """
    step, image, residual = torch.zeros_like(gradient), torch.zeros_like(gradient), -gradient
    direction, square = residual, _dot(residual, residual)
    running, at_edge = square.sqrt() > tolerance, torch.zeros_like(square, dtype=torch.bool)
    for _ in range(most):
        if not running.any():
            break
        curved = product(direction)
        curvature = _dot(direction, curved)
        bent = curvature > 0
        length = torch.where(bent, square / torch.where(bent, curvature, 1.0), 0.0)
        beyond = torch.linalg.vector_norm(step + length[:, None] * direction, dim=1) >= radius
        leaves = running & (~bent | beyond)
        move = torch.where(leaves, _to_edge(step, direction, radius), length)
        move = torch.where(running, move, 0.0)[:, None]
        step, image = step + move * direction, image + move * curved
        residual = residual - move * curved
        after, at_edge = _dot(residual, residual), at_edge | leaves
        running = running & ~leaves & (after.sqrt() > tolerance)
        ratio = torch.where(running, after / torch.where(square > 0, square, 1.0), 0.0)
        direction, square = residual + ratio[:, None] * direction, after
    return Step(step, image, at_edge)


def _to_edge(step: torch.Tensor, direction: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """t ≥ 0 with ‖step + t·direction‖ = radius, (run,)."""
    along, size = _dot(step, direction), _dot(direction, direction)
    left = (radius.square() - _dot(step, step)).clamp_min(0)
    # along is never negative: the steps of conjugate gradients grow
    below = along + (along.square() + size * left).sqrt()
    return left / torch.where(below > 0, below, 1.0)


def _dot(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    return (first * second).sum(dim=1)
