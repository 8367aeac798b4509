"""One sigmoid neuron on samples along the axes."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Model, torch

TARGET = 0.75
"""y of all samples; any number between ½ and 1 serves."""


class SigmoidNeuron(Model):
    """L(w) = 1/n Σₙ ℓ(σ(w·xₙ), yₙ), σ(z) = 1/(1 + e⁻ᶻ), with the samples x = R^i e_j, y = ¾,
    i = 0 … m − 1, j = 1 … d.

    ℓ is the squared error, or the loss that matches σ (the cross-entropy, less its least value),
    under which L is strictly convex. Auer, Herbster & Warmuth (1995): n = md samples can have
    ⌊n/d⌋^d = m^d minima under the squared error. These samples, which are ours, have them: L is a
    sum over the coordinates, and in each ln w_j has a dip near ln(ln 3) − i ln R.
    """

    scales: PositiveInt = 3
    """Samples m along each axis."""
    inputs: PositiveInt = 1
    """Dimension d."""
    ratio: Annotated[float, Field(gt=1)] = 10.0
    """Ratio R of neighbouring samples."""
    loss_function: Literal["squared", "matching"] = "squared"
    """ℓ."""

    def shapes(self):
        return {"w": (self.inputs,)}

    def dimensions(self):
        return {"w": ("input",)}

    def loss(self, weights, data):
        sums = weights["w"][:, :, None] * self._places(weights)
        if self.loss_function == "squared":
            losses = (torch.sigmoid(sums) - TARGET).square()
        else:
            least = -TARGET * np.log(TARGET) - (1 - TARGET) * np.log(1 - TARGET)
            losses = torch.logaddexp(sums, torch.zeros_like(sums)) - TARGET * sums - least
        return losses.mean(dim=(1, 2))

    def hessian(self, weights, data):
        """Diagonal."""
        places = self._places(weights)
        first = torch.sigmoid(weights["w"][:, :, None] * places)
        slope = first * (1 - first)
        bend = slope
        if self.loss_function == "squared":
            bend = 2 * slope * (slope + (first - TARGET) * (1 - 2 * first))
        return ((bend * places**2).mean(dim=2) / self.inputs).diag_embed()

    def _places(self, weights):
        """R^i, (scale,)."""
        return torch.as_tensor(self.ratio ** np.arange(self.scales)).to(weights["w"])


@nnflow.hookimpl
def nnflow_register(register):
    register("sigmoid_neuron", SigmoidNeuron)
