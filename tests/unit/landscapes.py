"""Small landscapes with known critical points, and how to make an objective of them."""

from __future__ import annotations

import numpy as np
import torch

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces import Model
from nnflow.interfaces.optimizer import Optimizer


class Quadratic(Model):
    """L = ½ Σ λᵢwᵢ²."""

    eigenvalues: list[float]

    def shapes(self):
        return {"w": (len(self.eigenvalues),)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        scale = torch.tensor(self.eigenvalues, dtype=torch.float64)
        return (scale * weights["w"] ** 2).sum(1) / 2

    def third_derivative_bound(self, weights, radius):
        return torch.zeros_like(radius)


class Cubic(Quadratic):
    """L = ½ Σ λᵢwᵢ² + w₁³/6, whose third derivative is 1 everywhere, so that the bound B = 1 is
    sharp; with λ = 1 alone a minimum at 0 and a maximum at −2."""

    eigenvalues: list[float] = [1.0]

    def infimum(self):
        return None

    def loss(self, weights, data):
        return super().loss(weights, data) + weights["w"][:, 0] ** 3 / 6

    def third_derivative_bound(self, weights, radius):
        return torch.ones_like(radius)


class Slope(Model):
    """L = ½w₁² + 10⁻⁵w₂: no critical point."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        x, y = weights["w"].unbind(1)
        return x**2 / 2 + 1e-5 * y


class DoubleWell(Model):
    """L = ¼(w₁² − 1)² + ½w₂²: minima at (±1, 0), a saddle at the origin."""

    def shapes(self):
        return {"a": (1,), "b": (1,)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        a, b = weights["a"][:, 0], weights["b"][:, 0]
        return (a**2 - 1) ** 2 / 4 + b**2 / 2

    def third_derivative_bound(self, weights, radius):
        # |L'''| = 6|w₁|
        return 6 * (weights["a"][:, 0].abs() + radius)


class Descent(Optimizer):
    """W⁺ = W − α∇L(W)."""

    rate: float = 0.1

    is_gradient_descent = True

    def start(self, weights, scale):
        return {"rate": self.rate * scale[:, None]}

    def step(self, objective, weights, state):
        return weights - state["rate"] * objective.gradient(weights), state


def objective_of(model: Model, runs: int) -> Objective:
    """The model's objective for `runs` runs."""
    return Objective(model, {}, Streams(0, "all", np.arange(runs), "test"))


def normal_weights(runs: int, size: int, seed: int = 0) -> torch.Tensor:
    """(run, size) standard normal weights."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((runs, size)))
