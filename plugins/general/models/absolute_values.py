"""Sums of absolute values, whose kinks are known."""

from __future__ import annotations

import numpy as np
from pydantic import Field, NonNegativeFloat, model_validator

import nnflow
from nnflow import Kinks, Model, torch


class AbsoluteValues(Model):
    """L(w) = Σᵢ cᵢ|aᵢ·w − bᵢ| + s·w + ½κ‖w‖².

    Textbook cases: |x|, with a minimum at its kink; max(x, −2x) = 3/2 |x| − ½x; |x| − |y|, which
    is Clarke-stationary at 0 and falls along y.
    """

    factors: list[float] = Field(examples=[[1, -1]])
    """cᵢ."""
    rows: list[list[float]] = Field(examples=[[[1, 0], [0, 1]]])
    """aᵢ."""
    offsets: list[float] | None = None
    """bᵢ; null: zeros."""
    slope: list[float] | None = None
    """s; null: zeros."""
    curvature: NonNegativeFloat = 0.0
    """κ."""

    @model_validator(mode="after")
    def _fits(self):
        if not self.rows or len({len(row) for row in self.rows}) != 1 or not self.rows[0]:
            raise ValueError("rows: must be of one length, and not empty")
        kinks, size = len(self.rows), len(self.rows[0])
        for key, wanted in (("factors", kinks), ("offsets", kinks), ("slope", size)):
            given = getattr(self, key)
            if given is not None and len(given) != wanted:
                raise ValueError(f"{key}: must have {wanted} numbers")
        return self

    def shapes(self):
        return {"w": (len(self.rows[0]),)}

    def dimensions(self):
        return {"w": ("coordinate",)}

    def loss(self, weights, data):
        w, bent = weights["w"], self._bent(weights["w"])
        sizes = bent.detach().sign() * bent  # the subgradient 0 at 0
        kinked = (sizes * self._tensor(self.factors, w)).sum(1)
        slope = self._tensor(self.slope or [0.0] * w.shape[1], w)
        return kinked + (w * slope).sum(1) + self.curvature / 2 * w.square().sum(1)

    def smooth(self, weights, data):
        return (self._bent(weights["w"]) != 0).all(1)

    def kinks(self, weights, data, within):
        rows, factors = np.array(self.rows, dtype=float), np.array(self.factors, dtype=float)
        found = []
        for w, bent in zip(weights["w"], self._bent(weights["w"]), strict=True):
            w, bent = w.detach().cpu().numpy(), bent.detach().cpu().numpy()
            slope = (factors * np.sign(bent)) @ rows + self.curvature * w
            slope = slope + (self.slope or 0)
            near = np.abs(bent) <= within * np.linalg.norm(rows, axis=1)
            found.append(Kinks(slope, rows[near], 2 * factors[near], np.sign(bent[near])))
        return found

    def _bent(self, w):
        """aᵢ·w − bᵢ, (run, kink)."""
        offsets = self._tensor(self.offsets or [0.0] * len(self.rows), w)
        return (w[:, None] * self._tensor(self.rows, w)).sum(2) - offsets

    @staticmethod
    def _tensor(numbers, like):
        return torch.tensor(numbers, dtype=like.dtype).to(like.device)


@nnflow.hookimpl
def nnflow_register(register):
    register("absolute_values", AbsoluteValues)
