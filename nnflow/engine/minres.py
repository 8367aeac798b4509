"""MINRES for many symmetric systems at once."""

from __future__ import annotations

from collections.abc import Callable

import torch

Products = Callable[[torch.Tensor], torch.Tensor]


def minres(
    product: Products, right: torch.Tensor, tolerance: float, most: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solutions x of Ax = b, (run, weight), and where A was seen to be positive definite, (run,).

    product: v ↦ Av for vectors (run, weight), A symmetric and perhaps indefinite. right: b. A run
    ends when ‖b − Ax‖ ≤ tolerance·‖b‖, or after `most` products. Where A is singular, x
    minimizes ‖b − Ax‖. A is seen not to be positive definite where rᵀAr ≤ 0 for a residual r.

    Source: Paige & Saunders 1975; the test of definiteness: Liu & Roosta 2022.
    """
    size = torch.linalg.vector_norm(right, dim=1)
    solution = torch.zeros_like(right)
    definite = torch.ones_like(size, dtype=torch.bool)
    running = size > 0
    beta, phi = size.clone(), size.clone()
    new, old = right / _safe(size)[:, None], torch.zeros_like(right)
    cosine, sine = -torch.ones_like(size), torch.zeros_like(size)
    delta, epsilon = torch.zeros_like(size), torch.zeros_like(size)
    one, two = torch.zeros_like(right), torch.zeros_like(right)
    coupling = torch.zeros_like(size)
    for _ in range(most):
        if not running.any():
            break
        image = product(new) - coupling[:, None] * old
        alpha = (new * image).sum(dim=1)
        image = image - alpha[:, None] * new
        beta = torch.linalg.vector_norm(image, dim=1)
        gamma_bar = sine * delta - cosine * alpha
        definite &= ~running | (cosine * gamma_bar < 0)
        across = cosine * delta + sine * alpha
        gamma = torch.hypot(gamma_bar, beta)
        usable = running & (gamma > 0)
        next_epsilon, next_delta = sine * beta, -cosine * beta
        cosine = torch.where(usable, gamma_bar / _safe(gamma), cosine)
        sine = torch.where(usable, beta / _safe(gamma), sine)
        direction = (new - epsilon[:, None] * two - across[:, None] * one) / _safe(gamma)[:, None]
        step = torch.where(usable, cosine * phi, 0.0)
        solution = solution + step[:, None] * direction
        phi = torch.where(usable, sine * phi, phi)
        running = usable & (phi > tolerance * size) & (beta > 0)
        old, new = new, image / _safe(beta)[:, None]
        one, two = direction, one
        epsilon, delta, coupling = next_epsilon, next_delta, beta
    return solution, definite


def _safe(values: torch.Tensor) -> torch.Tensor:
    """The values, 1 where one is 0."""
    return torch.where(values > 0, values, 1.0)
