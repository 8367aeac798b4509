"""What a loss is: the price of an output."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import torch


class Loss(Plugin):
    """ℓ(output, target), for models that compare outputs with targets."""

    kind: ClassVar[str] = "losses"

    targets: ClassVar[str] = "any"
    """What targets are: "real" numbers, "classes" counted from 0, or "any" of them."""

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each sample, (…, sample), from outputs (…, sample, output) and targets
        (…, sample) or (…, sample, output)."""
        raise NotImplementedError

    def smooth(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor | None:
        """(…, sample) bool: is ℓ twice differentiable around these outputs? None: everywhere."""
        return None
