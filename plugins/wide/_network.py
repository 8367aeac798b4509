"""A wide network as studies name it: its activation and its two variances."""

from __future__ import annotations

from pydantic import NonNegativeFloat

from nnflow import Activation, Settings, UserError

from ._moments import moments
from ._signal import FixedPoint, Propagation, attracting

SEARCHED = (1e-3, 1e3)
"""Lengths among which finite networks are started."""


class Network(Settings):
    """σ, α_w² and α_h²; the last may be 0."""

    activation: Activation
    """σ."""
    weight_variance: NonNegativeFloat
    """α_w²: weights have the variance α_w²/d."""
    bias_variance: NonNegativeFloat
    """α_h²."""

    def propagation(self) -> Propagation:
        """Its maps."""
        return Propagation(moments(self.activation), self.weight_variance, self.bias_variance)

    def fixed_point(self) -> FixedPoint:
        """The stable fixed point of its lengths above 0 that q = 1 leads to.

        Raises UserError where there is none.
        """
        point = attracting(self.propagation().fixed_points(SEARCHED))
        if point is None or point.q.value == 0:
            raise UserError(
                f"network {self.label!r}: its lengths have no stable fixed point above 0"
            )
        return point

    @property
    def label(self) -> str:
        """As in `tanh 2.25 0.01`."""
        return f"{self.activation.name} {self.weight_variance:g} {self.bias_variance:g}"
