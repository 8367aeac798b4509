"""What a loss is: a function ℓ(output, target)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nnflow.base.automatic import automatic_gradient
from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import torch

    from nnflow.base.lane_forms import LaneLoss


class Loss(Plugin):
    """ℓ(output, target), for models that compare outputs with targets."""

    kind: ClassVar[str] = "losses"

    targets: ClassVar[str] = "any"
    """What targets are: "real" numbers, "classes" counted from 0, or "any" of them."""
    convex: ClassVar[bool] = True
    """Is ℓ convex in the outputs? Models may find the infimum by descent then."""
    likelihood: ClassVar[bool] = False
    """Is ℓ = −log p(target | output) + const, with the output a natural parameter of p? Then the
    Gauss–Newton matrix is the Fisher matrix."""

    lanes: ClassVar[LaneLoss | None] = None
    """∂ℓ/∂o as compiled gradients take it; None: networks with this ℓ have none."""

    def __init_subclass__(cls, **more):
        """What changes the function does not inherit its form for compiled code."""
        super().__init_subclass__(**more)
        if "lanes" not in vars(cls) and {"__call__", "slope"} & vars(cls).keys():
            cls.lanes = None

    def __call__(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Loss of each sample, (…, sample), from outputs (…, sample, output) and targets
        (…, sample) or (…, sample, output)."""
        raise NotImplementedError

    def slope(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """∂ℓ/∂o, (…, sample, output). What is given here differentiates ℓ; a closed form is
        faster."""
        return automatic_gradient(lambda at: self(at, targets), outputs)

    def curvature(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """∂²ℓ/∂o², (…, sample, output, output). What is given here differentiates ℓ twice; a closed
        form is faster."""
        import torch

        at = outputs.detach().requires_grad_(True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self(at, targets).sum(), at, create_graph=True)
            if not slope.requires_grad:  # ℓ is piecewise linear
                return torch.zeros_like(slope)[..., None].expand(*slope.shape, slope.shape[-1])
            columns = [
                torch.autograd.grad(slope[..., output].sum(), at, retain_graph=True)[0]
                for output in range(slope.shape[-1])
            ]
        return torch.stack(columns, dim=-1)

    def smooth(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor | None:
        """(…, sample) bool: is ℓ twice differentiable around these outputs? None: everywhere."""
        return None

    @property
    def smooth_everywhere(self) -> bool:
        """Is ℓ twice differentiable at all outputs?"""
        return type(self).smooth is Loss.smooth

    def kinks(
        self, outputs: torch.Tensor, targets: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Numbers s and jumps, (…, sample, kink) each, such that ℓ = a differentiable function
        + Σ ½ jump |s|, and its derivative takes |s|' to be 0 at s = 0; no kinks where ℓ is
        differentiable. None: not known, as of a loss that has its own `smooth` alone."""
        return (outputs[..., :0], outputs[..., :0]) if self.smooth_everywhere else None
