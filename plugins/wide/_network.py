"""A wide network as studies name it: its activation and its two variances."""

from __future__ import annotations

from pydantic import NonNegativeFloat

from nnflow import Activation, Settings

from ._moments import moments
from ._signal import Propagation


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

    @property
    def label(self) -> str:
        """As in `tanh 2.25 0.01`."""
        return f"{self.activation.name} {self.weight_variance:g} {self.bias_variance:g}"
