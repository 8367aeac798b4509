"""What optimizers with a velocity share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, PositiveFloat

from nnflow import Descent, Optimizer, torch


class Momentum(Optimizer):
    """A learning rate, a momentum coefficient, and a velocity that is 0 at first."""

    rate: PositiveFloat = Field(examples=[0.1])
    """Learning rate α."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.9
    """Momentum coefficient β."""

    varies = ("rate", "momentum")
    ahead: ClassVar[bool | None] = None
    """Is the gradient taken at W − βV? None: the steps are no `Descent`."""

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None], "velocity": torch.zeros_like(weights)}

    def steps(self, objective, weights, state, count):
        if self.ahead is None:
            return super().steps(objective, weights, state, count)
        descent = Descent(count, state["rate"], state["velocity"], self.momentum, self.ahead)
        together = objective.descend(weights, descent)
        if together is None:
            return super().steps(objective, weights, state, count)
        return together.weights, {**state, "velocity": together.velocity}
