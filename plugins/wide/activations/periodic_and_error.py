"""Activations whose Gaussian integrals are elementary: sine, cosine and the error function."""

from __future__ import annotations

import nnflow
from nnflow import Activation, torch


class Sine(Activation):
    """σ(t) = sin t."""

    def __call__(self, values):
        return torch.sin(values)


class Cosine(Activation):
    """σ(t) = cos t, for which |σ| is not monotone."""

    def __call__(self, values):
        return torch.cos(values)


class Erf(Activation):
    """σ(t) = erf t = 2/√π ∫₀ᵗ exp(−s²) ds."""

    def __call__(self, values):
        return torch.erf(values)


@nnflow.hookimpl
def nnflow_register(register):
    for activation in (Sine, Cosine, Erf):
        register(activation.__name__.lower(), activation)
