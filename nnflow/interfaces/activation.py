"""What an activation is: the nonlinearity of a neuron."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nnflow.base.automatic import automatic_gradient
from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import torch

    from nnflow.base.lane_forms import LaneActivation


class Activation(Plugin):
    """σ, applied elementwise."""

    kind: ClassVar[str] = "activations"

    smooth: ClassVar[bool] = True
    """Is σ twice differentiable everywhere?"""

    jump: ClassVar[float | None] = None
    """For a σ whose only kink is at 0: what its slope grows by there. Its derivative at 0 must be
    that of the negative side."""

    kinks: ClassVar[tuple[float, ...] | None] = None
    """Where σ is not smooth, if elsewhere than at 0 or without a `jump`; σ itself is continuous."""

    lanes: ClassVar[LaneActivation | None] = None
    """σ and σ' as compiled gradients take them; None: networks with this σ have none."""

    def __init_subclass__(cls, **more):
        """What changes the function does not inherit its form for compiled code."""
        super().__init_subclass__(**more)
        if "lanes" not in vars(cls) and {"__call__", "derivative"} & vars(cls).keys():
            cls.lanes = None

    def __call__(self, values: torch.Tensor) -> torch.Tensor:
        """σ(values), same shape."""
        raise NotImplementedError

    def derivative(self, values: torch.Tensor, activated: torch.Tensor) -> torch.Tensor:
        """σ'(values), same shape. activated: σ(values), by which some are cheaper. What is given
        here differentiates σ."""
        return automatic_gradient(self, values)
