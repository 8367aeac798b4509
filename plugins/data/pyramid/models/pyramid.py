"""Networks on a few random samples."""

from __future__ import annotations

import functools
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

import nnflow
from nnflow import Activation, Model, Streams, torch

from .._derivatives import gradients, hessian, passed


class Pyramid(Model):
    """L(W) = 1/2N Σₙ ‖f(xₙ) − yₙ‖², f(x) = W_K σ(… σ(W_1x + b_1) …) + b_K.

    Inputs and targets are standard normal numbers, so that the vectors (x, 1) are independent iff
    N ≤ d_0 + 1. Gori & Tesi (1992) call networks pyramidal whose layers do not grow.
    """

    widths: Annotated[list[PositiveInt], Field(min_length=3)] = [4, 4, 3, 2]
    """Inputs, neurons of each hidden layer, outputs."""
    samples: PositiveInt = 5
    """Samples N."""
    activation: Activation = Field("tanh", validate_default=True)
    """σ."""
    seed: NonNegativeInt = 0
    """Seed of inputs and targets."""

    def shapes(self):
        shapes = {}
        for layer, (inputs, outputs) in enumerate(pairwise(self.widths), 1):
            shapes[f"w{layer}"], shapes[f"b{layer}"] = (outputs, inputs), (outputs,)
        return shapes

    def data(self):
        """Inputs (d_0, N) and targets (d_K, N)."""
        return _drawn(self.seed, self.samples, self.widths[0], self.widths[-1])

    def loss(self, weights, data):
        values, targets = (torch.as_tensor(part).to(weights["w1"]) for part in self.data())
        values = values.expand(len(weights["w1"]), *values.shape)
        for layer in range(1, len(self.widths)):
            if layer > 1:
                values = self.activation(values)
            values = torch.baddbmm(weights[f"b{layer}"][..., None], weights[f"w{layer}"], values)
        return (values - targets).square().sum(dim=(1, 2)) / (2 * self.samples)

    def gradient(self, weights, data):
        found = gradients(self._passed(weights))
        return {n: part / self.samples for n, part in zip(weights, found, strict=True)}

    def hessian(self, weights, data):
        if type(self.activation).derivative is Activation.derivative:
            return None  # σ'' is not known
        return hessian(self._passed(weights), self.activation) / self.samples

    def _passed(self, weights):
        inputs, targets = (torch.as_tensor(part).to(weights["w1"]) for part in self.data())
        matrices, biases = list(weights.values())[::2], list(weights.values())[1::2]
        return passed(matrices, biases, self.activation, inputs, targets)

    def invariants(self, weights):
        """Sorted magnitudes of each part."""
        parts = [weight.flatten(1).abs().sort(dim=1).values for weight in weights.values()]
        return torch.cat(parts, dim=1)


@functools.cache
def _drawn(seed: int, samples: int, inputs: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    streams = Streams(seed, "pyramid", np.arange(samples), "samples")
    return streams.normal(inputs, draw=0).T, streams.normal(outputs, draw=1).T


@nnflow.hookimpl
def nnflow_register(register):
    register("pyramid", Pyramid)
