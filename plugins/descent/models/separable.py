"""Sums of one function of each weight, with a known Lipschitz constant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, FiniteFloat

import nnflow
from nnflow import Model, UserError, torch


class Separable(Model):
    """L(w) = Σᵢ λᵢφ(wᵢ), with φ one of

        square    ½w²,           convex, strongly;
        log_cosh  ln cosh w,     convex, and as good as linear far away;
        dips      ½w²/(1 + w²),  not convex, bounded.

    Each has φ''(0) = 1 = max|φ''|, so that ∇L has the Lipschitz constant M = max|λᵢ|, and the
    Hessian at 0, where ∇L = 0, is diag(λ).
    """

    curvatures: Annotated[list[FiniteFloat], Field(min_length=1)] = Field(examples=[[1, 0.1]])
    """λ, the curvatures at 0."""
    function: Literal["square", "log_cosh", "dips"] = "square"
    """φ."""

    def shapes(self):
        return {"w": (len(self.curvatures),)}

    def dimensions(self):
        return {"w": ("coordinate",)}

    def infimum(self):
        return 0.0 if min(self.curvatures) >= 0 else None

    def smoothness(self, data) -> float:
        """M = max|λᵢ|, the smallest Lipschitz constant of ∇L."""
        return max(map(abs, self.curvatures))

    def lower_bound(self) -> float:
        """inf L. Raises UserError where some λᵢ < 0."""
        if self.infimum() is None:
            raise UserError("separable: with a curvature below 0 the loss has no known lower bound")
        return 0.0

    def loss(self, weights, data):
        value, _ = FUNCTIONS[self.function]
        return (self._curvatures(weights) * value(weights["w"])).sum(dim=1)

    def gradient(self, weights, data):
        _, slope = FUNCTIONS[self.function]
        return {"w": self._curvatures(weights) * slope(weights["w"])}

    def _curvatures(self, weights):
        return torch.as_tensor(self.curvatures, dtype=weights["w"].dtype).to(weights["w"].device)


def _log_cosh(w):
    """ln cosh w, without overflow."""
    size = w.abs()
    return size + torch.log1p(torch.exp(-2 * size)) - torch.log(torch.full_like(w, 2))


FUNCTIONS = {
    "square": (lambda w: w**2 / 2, lambda w: w),
    "log_cosh": (_log_cosh, lambda w: torch.tanh(w)),
    "dips": (lambda w: w**2 / (1 + w**2) / 2, lambda w: w / (1 + w**2) ** 2),
}
"""φ and φ'."""


@nnflow.hookimpl
def nnflow_register(register):
    register("separable", Separable)
