"""What optimizers with a velocity share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat

from nnflow import Optimizer, torch


class Momentum(Optimizer):
    """A learning rate, a momentum coefficient, and a velocity that is 0 at first."""

    rate: PositiveFloat = Field(examples=[0.1])
    """Learning rate α."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum coefficient β."""

    varies = ("rate", "momentum")

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None], "velocity": torch.zeros_like(weights)}
