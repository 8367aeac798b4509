"""A hidden layer of as many logistic neurons as samples, on data with a bad minimum."""

from __future__ import annotations

import functools
from typing import Annotated

from pydantic import Field

import nnflow
from nnflow import Model, torch

from .._split_data import split_data


class SplitLayer(Model):
    """L(W) = ½ Σₙ (yₙ − W₂ σ(W₁xₙ))², σ(z) = 1/(1 + e⁻ᶻ), m neurons for m samples, no biases.

    The samples are those of `split_data`: one neuron with both weights 1 is a minimum of its
    own loss, and stays one when it is split into m (Fukumizu & Amari 2000). inf L = 0, as the
    m × m matrix σ(W₁X) is invertible for almost every W₁.
    """

    samples: Annotated[int, Field(ge=3)] = 3
    """Samples m, and hidden neurons."""

    def shapes(self):
        return {"w1": (self.samples, 1), "w2": (1, self.samples)}

    def dimensions(self):
        return {"w1": ("hidden", "input"), "w2": ("output", "hidden")}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        _, _, error, _ = self._parts(weights)
        return error.square().sum(dim=1) / 2

    def gradient(self, weights, data):
        inputs, slope, error, hidden = self._parts(weights)
        outer = error[..., None]
        first = (slope * inputs) @ outer * weights["w2"].mT
        return {"w1": first, "w2": (hidden @ outer).mT}

    def hessian(self, weights, data):
        """JᵀJ with the Jacobian J of the outputs, and the second derivatives of each neuron."""
        inputs, slope, error, hidden = self._parts(weights)
        second = weights["w2"].mT
        jacobian = torch.cat([second * slope * inputs, hidden], dim=1)
        bend = slope * (1 - 2 * hidden) * inputs**2
        both = (slope * inputs * error[:, None]).sum(dim=2)
        inner = second[..., 0] * (bend * error[:, None]).sum(dim=2)
        rows = [
            torch.cat([inner.diag_embed(), both.diag_embed()], dim=2),
            torch.cat([both.diag_embed(), torch.zeros_like(both).diag_embed()], dim=2),
        ]
        return jacobian @ jacobian.mT + torch.cat(rows, dim=1)

    def _parts(self, weights):
        """x (sample,), σ' (run, hidden, sample), the residual (run, sample) and σ."""
        inputs, targets = (part.to(weights["w1"]) for part in _data(self.samples))
        hidden = torch.sigmoid(weights["w1"] * inputs)
        error = (weights["w2"] @ hidden).squeeze(1) - targets
        return inputs, torch.addcmul(hidden, hidden, hidden, value=-1), error, hidden

    def invariants(self, weights):
        """Sorted weights of each layer: neurons may be permuted."""
        parts = (weights["w1"].flatten(1), weights["w2"].flatten(1))
        return torch.cat([part.sort(dim=1).values for part in parts], dim=1)


@functools.cache
def _data(samples: int) -> tuple[torch.Tensor, torch.Tensor]:
    inputs, targets = split_data(samples)
    return torch.as_tensor(inputs), torch.as_tensor(targets)


@nnflow.hookimpl
def nnflow_register(register):
    register("split_layer", SplitLayer)
