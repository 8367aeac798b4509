"""A sigmoid network whose output weights are fixed, so that its gradient is Lipschitz."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat

import nnflow
from nnflow import Model, torch

CURVATURE = 1 / (6 * math.sqrt(3))
"""max|σ''| of the logistic sigmoid σ; max σ' is 1/4."""


class FixedReadout(Model):
    """L(W) = 1/N Σₛ ½(a·σ(W x̃ₛ) − yₛ)²,  x̃ = (x, 1),  σ the logistic sigmoid, a fixed.

    Then ∇L is Lipschitz on all of weight space, with a constant of at most

        M = mean |x̃|² (|a|²/16 + (max(Σa⁺, Σa⁻) + |y|) max|a| / (6√3)):

    the Hessian of a sample is ∇f∇fᵀ + (f − y)∇²f, and |∇f|² ≤ |a|²|x̃|²/16; ∇²f has the blocks
    aⱼσ''x̃x̃ᵀ, and f lies between −Σa⁻ and Σa⁺. With trained output weights there is no such M.
    """

    readout: Annotated[list[FiniteFloat], Field(min_length=1)] = Field(examples=[[1, -1]])
    """a, one for each hidden neuron."""

    def shapes(self):
        return {"w": (len(self.readout), 2)}

    def dimensions(self):
        return {"w": ("neuron", "input")}

    def arrays(self):
        return {"inputs": "real", "targets": "real"}

    def smoothness(self, data) -> float:
        """The bound M; data: arrays inputs (sample, 1), targets (sample,)."""
        a, y = np.asarray(self.readout), np.asarray(data["targets"])
        square = (np.asarray(data["inputs"]) ** 2).sum(axis=1) + 1
        reach = max(a[a > 0].sum(), -a[a < 0].sum()) + np.abs(y)
        second = CURVATURE * np.abs(a).max() * reach
        return float((square * ((a**2).sum() / 16 + second)).mean())

    def lower_bound(self) -> float:
        """0, which L need not come near to."""
        return 0.0

    def loss(self, weights, data):
        _, hidden, a = self._hidden(weights, data)
        return ((a[:, None] * hidden).sum(dim=-2) - data["targets"]).square().mean(dim=-1) / 2

    def gradient(self, weights, data):
        x, hidden, a = self._hidden(weights, data)
        error = (a[:, None] * hidden).sum(dim=-2, keepdim=True) - data["targets"].unsqueeze(-2)
        slope = error * a[:, None] * hidden * (1 - hidden)
        # one product per run: how runs are grouped must not change their last bits
        ones = torch.ones_like(x)
        extended = torch.cat([x, ones], dim=-2).mT.expand(len(slope), -1, -1)
        return {"w": torch.bmm(slope, extended) / x.shape[-1]}

    def _hidden(self, weights, data):
        """Inputs (…, 1, sample), hidden values (run, neuron, sample) and a."""
        x = data["inputs"].squeeze(-1).unsqueeze(-2)
        hidden = torch.sigmoid(weights["w"][..., :1] * x + weights["w"][..., 1:])
        return x, hidden, torch.as_tensor(self.readout, dtype=x.dtype).to(x.device)

    def invariants(self, weights):
        """The weights of the neurons, sorted; those of one readout weight are interchangeable."""
        return weights["w"].flatten(1).sort(dim=1).values


@nnflow.hookimpl
def nnflow_register(register):
    register("fixed_readout", FixedReadout)
