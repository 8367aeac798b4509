"""Networks of one hidden layer as ensembles of neurons, and the paths between them."""

from __future__ import annotations

import numpy as np

from ..general._flat import named_weights


def neurons(model, flat: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Neurons (point, neuron, weight), each its input weights, bias and output weights (l, b, c),
    and the output biases (point, output) of networks (point, weight) of one hidden layer."""
    named = named_weights(model, flat)
    parts = [named["w1"], named["b1"][..., None], np.swapaxes(named["w2"], 1, 2)]
    return np.concatenate(parts, axis=2), named["b2"]


def flat_network(ensembles: np.ndarray, biases: np.ndarray, inputs: int) -> np.ndarray:
    """The networks (point, weight) again, in the order w1, b1, w2, b2."""
    points = len(ensembles)
    first, bias, second = np.split(ensembles, [inputs, inputs + 1], axis=2)
    parts = [first, bias, np.swapaxes(second, 1, 2), biases]
    return np.concatenate([part.reshape(points, -1) for part in parts], axis=1)


def balanced(ensembles: np.ndarray, inputs: int) -> np.ndarray:
    """The neurons rescaled, (l, b, c) → (s·l, s·b, c/s), so that ‖(l, b)‖ = ‖c‖: with ReLU the
    network stays the same function. Neurons without input or output weights stay."""
    first, second = np.split(ensembles, [inputs + 1], axis=2)
    lengths = [np.linalg.norm(part, axis=2, keepdims=True) for part in (first, second)]
    used = (lengths[0] > 0) & (lengths[1] > 0)
    scale = np.sqrt(np.where(used, lengths[1], 1) / np.where(used, lengths[0], 1))
    return np.concatenate([scale * first, second / scale], axis=2)


def linear(a: np.ndarray, b: np.ndarray, t: np.ndarray) -> np.ndarray:
    """(1 − t)A + tB, (t, …)."""
    t = t.reshape(-1, *(1,) * a.ndim)
    return (1 - t) * a + t * b


def arc(a: np.ndarray, b: np.ndarray, t: np.ndarray, center: np.ndarray | float) -> np.ndarray:
    """μ + cos(πt/2)(A − μ) + sin(πt/2)(B − μ), (t, …). About the mean of all neurons it keeps
    their mean and, where A and B are independent, their covariance."""
    angle = np.pi / 2 * t.reshape(-1, *(1,) * a.ndim)
    return center + np.cos(angle) * (a - center) + np.sin(angle) * (b - center)


def spread(ensembles: np.ndarray) -> np.ndarray:
    """Trace of the covariance of the neurons, (point,)."""
    return ensembles.var(axis=1).sum(axis=1)
