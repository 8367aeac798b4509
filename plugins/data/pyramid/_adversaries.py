"""Weights from which a search for a broken bound sets out, and the searches."""

from __future__ import annotations

import numpy as np

from nnflow import Streams, torch

from .._bound_search import Search, search
from .._gradient_bound import gradient_bound

NEAR = 1e-3
"""How far the last row of a nearly singular matrix is from the first."""
STEEP = 5.0
"""By this factor the first layer of saturated starts is larger."""


def try_to_break(model, seed: int, label: str, count: int, steps: int) -> list[Search]:
    """`count` searches of `steps` steps in each layer whose bound is above rounding at a start."""
    streams = Streams(seed, label, np.arange(count), "break_the_bound")
    weights, biases = starts(model, streams)
    layers = [
        layer
        for layer in range(1, len(model.widths))
        if gradient_bound(weights, *model.data(), tanh, layer, biases).informative
    ]
    both = tanh, log_tanh
    return [search(weights, biases, *model.data(), both, layer, steps) for layer in layers]


def starts(model, streams: Streams) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Normal weights, of variance 1/fan-in, and biases, of variance 1. Of every three starts the
    second has nearly singular W_2, W_3, …, the third saturated neurons."""
    weights, biases = [], []
    count, shapes = len(streams.runs), list(model.shapes().values())
    for draw, shape in enumerate(shapes[::2]):
        rows, columns = shape
        drawn = streams.normal(rows * (columns + 1), draw=draw).reshape(count, rows, columns + 1)
        weight, bias = drawn[..., :-1] / np.sqrt(columns), drawn[..., -1].copy()
        if draw == 0:
            weight[2::3] *= STEEP
            bias[2::3] *= STEEP
        elif rows > 1:
            weight[1::3, -1] = weight[1::3, 0] + NEAR * weight[1::3, -1]
        weights.append(weight)
        biases.append(bias)
    return weights, biases


def tanh(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """σ and σ'."""
    outputs = np.tanh(values)
    # 1 − tanh² would lose all digits where neurons are saturated
    return outputs, 1 / np.cosh(np.clip(values, -300, 300)) ** 2


def log_tanh(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """σ and log σ'."""
    size = values.abs()
    return values.tanh(), 2 * (np.log(2) - size - torch.nn.functional.softplus(-2 * size))
