"""Activations that are twice differentiable everywhere."""

from __future__ import annotations

import nnflow
from nnflow import Activation, Arithmetic, LaneActivation, hyperbolic_tangent, sigmoid, torch

# For compiled code


def _identity(t, parameter):
    return t


def _identity_slope(t, activated, parameter):
    return 1.0


def _tanh(t, parameter):
    return hyperbolic_tangent(t)


def _tanh_slope(t, activated, parameter):
    return 1.0 - activated * activated


def _sigmoid(t, parameter):
    return sigmoid(t)


def _sigmoid_slope(t, activated, parameter):
    return activated * (1.0 - activated)


IDENTITY = LaneActivation(Arithmetic(_identity), Arithmetic(_identity_slope))
TANH = LaneActivation(Arithmetic(_tanh), Arithmetic(_tanh_slope))
SIGMOID = LaneActivation(Arithmetic(_sigmoid), Arithmetic(_sigmoid_slope))


class Identity(Activation):
    """σ(t) = t: a deep linear network."""

    lanes = IDENTITY

    def __call__(self, values):
        return values

    def derivative(self, values, activated):
        return torch.ones_like(values)


class Tanh(Activation):
    """σ(t) = tanh t."""

    lanes = TANH

    def __call__(self, values):
        return torch.tanh(values)

    def derivative(self, values, activated):
        return 1 - activated.square()


class Sigmoid(Activation):
    """σ(t) = 1/(1 + exp(−t))."""

    lanes = SIGMOID

    def __call__(self, values):
        return torch.sigmoid(values)

    def derivative(self, values, activated):
        return activated * (1 - activated)


class Softplus(Activation):
    """σ(t) = log(1 + exp t)."""

    def __call__(self, values):
        # torch's own softplus jumps by 2e-9 where it turns linear
        return torch.logaddexp(values, torch.zeros_like(values))

    def derivative(self, values, activated):
        return torch.sigmoid(values)


class Gelu(Activation):
    """σ(t) = t Φ(t) with the normal distribution function Φ (Hendrycks & Gimpel 2016)."""

    def __call__(self, values):
        return torch.nn.functional.gelu(values)


@nnflow.hookimpl
def nnflow_register(register):
    for activation in (Identity, Tanh, Sigmoid, Softplus, Gelu):
        register(activation.__name__.lower(), activation)
