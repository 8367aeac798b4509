"""Stationary points with a loss, each where one assumption of the theorem is dropped."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from nnflow import torch

TWO, ONE = np.array([[-1.0, 1.0]]), np.array([[0.0, 2.0]])
"""Two independent samples and their targets."""


class Case(NamedTuple):
    """f(x) = W_2 σ(W_1x + b_1) + b_2 and samples x, y, (1, N). rank: of (W_2 b_2)."""

    inputs: np.ndarray
    targets: np.ndarray
    weights: tuple[list, list, list, list]
    activation: str


CASES = {
    "dependent": Case(
        np.array([[-1.0, 0, 1]]), np.array([[1.0, -2, 1]]),
        ([[0.0], [0.0]], [0.0, 0.0], [[1.0, 1.0]], [0.0]), "tanh",
    ),
    "rank": Case(TWO, ONE, ([[0.0]], [0.5], [[0.0]], [1.0]), "tanh"),
    "dead": Case(TWO, ONE, ([[1.0]], [-5.0], [[1.0]], [1.0]), "relu"),
    "sine": Case(TWO, ONE, ([[0.0]], [np.pi / 2], [[1.0]], [0.0]), "sin"),
}  # fmt: skip
"""Dependent (x, 1); W_2 = 0, while (W_1 b_1) and (W_2 b_2) have full rank; σ' = 0 at all samples; σ
that is not monotone."""


def evaluate(case: Case) -> tuple[float, float]:
    """Loss ½ mean (f − y)² and the norm of its gradient in all weights."""
    parts = [torch.tensor(part, dtype=torch.float64, requires_grad=True) for part in case.weights]
    inputs, targets = torch.as_tensor(case.inputs), torch.as_tensor(case.targets)
    hidden = getattr(torch, case.activation)(parts[0] @ inputs + parts[1][:, None])
    loss = (parts[2] @ hidden + parts[3][:, None] - targets).square().mean() / 2
    gradients = torch.autograd.grad(loss, parts)
    return loss.item(), float(sum(part.square().sum() for part in gradients).sqrt())


def extended_ranks_are_full(case: Case) -> bool:
    """Have (W_1 b_1) and (W_2 b_2) as many independent rows as there are neurons?"""
    first, shift, second, last = (np.array(part) for part in case.weights)
    joined = (np.column_stack([first, shift]), np.column_stack([second, last]))
    return all(np.linalg.matrix_rank(part) == len(part) for part in joined)
