"""Critical points of any kind of the population loss, many at once."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import torch

from ..._population import gradient, hessian

CRITICAL = 1e-12
"""Gradient norm below which a point is critical; converged ones reach 1e-15."""
ZERO = 1e-7
"""Relative magnitude below which an eigenvalue is zero; `modes` says how wide the gap is."""
VANISHED = 1e-3
"""Norm below which a neuron counts as gone, where the gradient is not continuous."""


STEPS = nnflow.LevenbergMarquardtSteps(
    nnflow.Damping(least=0.0, rise=10.0, fall=10.0, give_up=1e12), power=0, floor=1e-14
)
"""Zero modes make the square of the Hessian singular, to rounding: damping is never below that."""


def find(start: np.ndarray, teachers: np.ndarray, steps: int = 300) -> np.ndarray:
    """Critical points reached from start (run, neuron, input) by Levenberg–Marquardt on |∇L|².

    A step −(H² + μI)⁻¹H∇L is taken where it lowers |∇L|; μ falls tenfold after it and grows
    tenfold after a step refused. Runs that do not converge, or lose a neuron, are dropped.
    """
    population = _Population(start.shape[1:], teachers)
    flat = torch.from_numpy(start.reshape(len(start), -1))
    w = nnflow.find_critical(population, flat, STEPS, steps, converged=1e-15, first=1e-2)
    size = torch.linalg.vector_norm(population.gradient(w), dim=1).numpy()
    w = population.neurons(w)
    return w[(size < CRITICAL) & ~_vanished(w)]


class _Population:
    """The population loss, as the problem of `nnflow.find_critical`."""

    def __init__(self, shape: tuple[int, int], teachers: np.ndarray) -> None:
        self.shape, self.teachers = shape, teachers

    def take(self, rows):
        return self

    def neurons(self, weights):
        return weights.numpy().reshape(-1, *self.shape)

    def loss(self, weights):
        return torch.zeros(len(weights), dtype=weights.dtype)  # no step looks at it

    def gradient(self, weights):
        """∇L; 0 where a neuron has vanished, which ends the run."""
        w = self.neurons(weights)
        slope = gradient(w, self.teachers)
        slope[_vanished(w)] = 0
        return torch.from_numpy(slope.reshape(len(w), -1))

    def hessian(self, weights):
        return torch.from_numpy(hessian(self.neurons(weights), self.teachers))


def _vanished(w: np.ndarray) -> np.ndarray:
    return np.linalg.norm(w, axis=2).min(axis=1) <= VANISHED


def modes(w: np.ndarray, teachers: np.ndarray) -> dict[str, np.ndarray]:
    """`index` and `nullity` of the Hessian at w (run, neuron, input), and over its largest
    eigenvalue the largest one counted as zero and the smallest one not (run,)."""
    values = np.linalg.eigvalsh(hessian(w, teachers))
    relative = values / np.abs(values).max(axis=1, keepdims=True)
    zero = np.abs(relative) < ZERO
    return {
        "index": (relative <= -ZERO).sum(axis=1),
        "nullity": zero.sum(axis=1),
        "largest_zero": np.where(zero, np.abs(relative), 0).max(axis=1, initial=0),
        "smallest_other": np.where(zero, np.inf, np.abs(relative)).min(axis=1, initial=np.inf),
    }
