"""A search for weights at which a gradient is below its lower bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from nnflow import torch

from ._gradient_bound import ROUNDING, SLACK, Activation, gradient_bound

RATE = 0.1
"""Step of Adam in every weight. After 400 steps searches with twice it are farther from the
bound."""
MEMORY = (0.9, 0.999)
"""Of Adam: of the gradient and of its square, as usual."""
LOOK = 5
"""Every so many steps norm and bound are compared."""
RESOLVED = SLACK / ROUNDING
"""Ratios are told where the bound is above this: there SLACK, what `Bound.violations` allows for
rounding, is no more than ROUNDING of it."""

Slope = Callable[["torch.Tensor"], "tuple[torch.Tensor, torch.Tensor]"]


class Search(NamedTuple):
    """points: how many were compared, where the bound is above rounding. broken (start,): did one
    of them violate the bound? closest: the lowest ratio of norm and bound, NaN where none was
    resolved."""

    points: int
    broken: np.ndarray
    closest: float


def search(
    weights: list[np.ndarray],
    biases: list[np.ndarray] | None,
    inputs: np.ndarray,
    targets: np.ndarray,
    activations: tuple[Activation, Slope],
    layer: int,
    steps: int,
) -> Search:
    """Descents in log(norm/bound) by Adam, all starts (start, …) side by side.

    Descents are steered by automatic derivatives; what counts are norm and bound from
    `gradient_bound`, at the starts, every LOOK steps and at the ends. activations: σ and σ' in
    NumPy, σ and log σ' in torch, whose logarithm is finite where σ' is not.
    """
    count = len(weights)
    parts = [torch.tensor(part, requires_grad=True) for part in (*weights, *(biases or ()))]
    data = torch.as_tensor(inputs), torch.as_tensor(targets)
    adam = _Adam(parts)
    points, closest, broken = 0, [], np.zeros(len(weights[0]), bool)
    for step in range(steps + 1):
        if step % LOOK == 0 or step == steps:
            at = [part.detach().numpy() for part in parts]
            found = gradient_bound(
                at[:count], inputs, targets, activations[0], layer, at[count:] or None
            )
            points += found.informative
            broken |= found.broken
            resolved = found.bound > RESOLVED
            closest += list(found.norm[resolved] / found.bound[resolved])
        if step == steps:
            break
        ratios = log_ratio(parts[:count], parts[count:] or None, *data, activations[1], layer)
        adam.step(torch.autograd.grad(ratios.sum(), parts))
    return Search(points, broken, min(closest, default=np.nan))


class _Adam:
    """Kingma & Ba 2015, of few parts; torch.optim takes seconds to import."""

    def __init__(self, parts):
        self.parts, self.steps = parts, 0
        self.mean, self.square = ([torch.zeros_like(part) for part in parts] for _ in range(2))

    def step(self, gradients):
        self.steps += 1
        one, two = (1 - rate**self.steps for rate in MEMORY)
        parts = zip(self.parts, gradients, self.mean, self.square, strict=True)
        with torch.no_grad():
            for part, slope, mean, square in parts:
                slope = slope.nan_to_num(0.0, 0.0, 0.0)  # a start whose bound is 0 stays there
                mean.lerp_(slope, 1 - MEMORY[0])
                square.lerp_(slope * slope, 1 - MEMORY[1])
                part -= RATE * (mean / one) / ((square / two).sqrt() + 1e-8)


def log_ratio(weights, biases, inputs, targets, activation: Slope, layer: int) -> torch.Tensor:
    """log(norm/bound) of `gradient_bound` at each point, in torch."""
    values = inputs.expand(len(weights[0]), *inputs.shape)
    outputs, slopes = [], []
    for index, weight in enumerate(weights):
        if biases is not None:
            values = torch.cat([values, torch.ones_like(values[:, :1])], dim=1)
            weight = torch.cat([weight, biases[index][..., None]], dim=2)
        outputs.append(values)
        sums = weight @ values
        values, slope = activation(sums)
        slopes.append(slope)
    back = sums - targets
    bound = _size(back).log() + _smallest(outputs[layer - 1]).log()
    for index in range(len(weights) - 1, layer - 1, -1):
        weight, slope = weights[index], slopes[index - 1]
        back = slope.exp() * (weight.mT @ back)
        bound = bound + _smallest(weight.mT).log() + slope.amin(dim=(1, 2))
    return _size(back @ outputs[layer - 1].mT).log() - bound


def _size(matrices: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(matrices, dim=(1, 2))


def _smallest(matrices: torch.Tensor) -> torch.Tensor:
    """The last singular value, of matrices with no more columns than rows."""
    return torch.linalg.svdvals(matrices)[:, -1]
