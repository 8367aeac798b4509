"""The network that can learn n samples by heart, to be trained on them."""

from __future__ import annotations

import functools

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
        return _drawn(self.seed, self.samples, self.inputs)

    def loss(self, weights, data):
        return self._errors(weights).square().mean(dim=1) / 2

    def gradient(self, weights, data):
        points, targets = self._data(weights)
        sums = self._sums(weights, points)
        above, units = sums.clamp(min=0), weights["w"][..., None]
        errors = ((above @ units)[..., 0] - targets)[..., None] / self.samples
        active = (sums >= 0).to(sums)  # at a kink as in automatic differentiation
        return {
            "a": ((active @ units) * errors)[..., 0] @ points,
            "b": -(active.mT @ errors * units)[..., 0],
            "w": (above.mT @ errors)[..., 0],
        }

    def observables(self, weights, data):
        return {"worst_error": self._errors(weights).abs().amax(dim=1)}

    def smooth(self, weights, data):
        """L has a kink where a sample is at a knot."""
        points, _ = self._data(weights)
        return (self._sums(weights, points) != 0).flatten(1).all(dim=1)

    def _errors(self, weights):
        points, targets = self._data(weights)
        above = self._sums(weights, points).clamp(min=0)
        return (above @ weights["w"][..., None])[..., 0] - targets

    def _sums(self, weights, points):
        """Inputs of the units, (run, sample, unit)."""
        return (weights["a"] @ points.mT)[:, :, None] - weights["b"][:, None]

    def _data(self, weights):
        return (torch.as_tensor(part).to(weights["a"]) for part in self.data())


@functools.cache
def _drawn(seed: int, samples: int, inputs: int) -> tuple[np.ndarray, np.ndarray]:
    streams = Streams(seed, "shared_direction", np.arange(samples), "samples")
    return streams.normal(inputs, draw=0), streams.normal(1, draw=1)[:, 0]


@nnflow.hookimpl
def nnflow_register(register):
    register("shared_direction", SharedDirection)
