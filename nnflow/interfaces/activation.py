"""What an activation is: the nonlinearity of a neuron."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import torch


class Activation(Plugin):
    """σ, applied elementwise."""

    kind: ClassVar[str] = "activations"

    smooth: ClassVar[bool] = True
    """Is σ twice differentiable everywhere?"""

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """σ(values), same shape."""
        raise NotImplementedError
