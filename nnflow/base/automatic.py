"""Gradients by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def automatic_gradient(
    function: Callable[[torch.Tensor], torch.Tensor], values: torch.Tensor
) -> torch.Tensor:
    """Gradient of the sum of a function's numbers, in the shape of the values. Where each number
    depends on one run, or one entry, alone, it holds the gradients of them all."""
    import torch

    at = values.detach().requires_grad_(True)
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(function(at).sum(), at)
    return gradient
