"""The network that can learn n samples by heart, to be trained on them."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

import nnflow
from nnflow import Model, Streams, torch


class SharedDirection(Model):
    """L = 1/2n Σᵢ (f(xᵢ) − yᵢ)², f(x) = Σ_j w_j max(a·x − b_j, 0), with n units and 2n + d weights.

    Points and targets are standard normal numbers. Zhang et al. (2017), Theorem 1: inf L = 0, as f
    can take any values at n distinct points.
    """

    samples: PositiveInt = 20
    """Samples n, and units."""
    inputs: PositiveInt = 10
    """Dimension d."""
    seed: NonNegativeInt = 0
    """Seed of points and targets."""

    def shapes(self):
        return {"a": (self.inputs,), "b": (self.samples,), "w": (self.samples,)}

    def dimensions(self):
        return {"a": ("input",), "b": ("unit",), "w": ("unit",)}

    def infimum(self):
        return 0.0

    def data(self):
        """Points (n, d) and targets (n,)."""
        streams = Streams(self.seed, "shared_direction", np.arange(self.samples), "samples")
        return streams.normal(self.inputs, draw=0), streams.normal(1, draw=1)[:, 0]

    def loss(self, weights, data):
        return self._errors(weights).square().mean(dim=1) / 2

    def observables(self, weights, data):
        return {"worst_error": self._errors(weights).abs().amax(dim=1)}

    def smooth(self, weights, data):
        """L has a kink where a sample is at a knot."""
        points, _ = (torch.as_tensor(part).to(weights["a"]) for part in self.data())
        places = weights["a"] @ points.mT
        return (places[:, :, None] != weights["b"][:, None]).flatten(1).all(dim=1)

    def _errors(self, weights):
        points, targets = (torch.as_tensor(part).to(weights["a"]) for part in self.data())
        places = weights["a"] @ points.mT
        sums = places[:, :, None] - weights["b"][:, None]
        return (sums.clamp(min=0) @ weights["w"][..., None])[..., 0] - targets


@nnflow.hookimpl
def nnflow_register(register):
    register("shared_direction", SharedDirection)
