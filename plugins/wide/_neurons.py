"""Networks with one hidden layer as laws of neurons: f_p(x) = Σ pᵢ cᵢ σ(lᵢ·x + bᵢ).

A neuron is a row (l, b, c) of D = d_in + 2 numbers; N equal weights pᵢ = 1/N are the ordinary
network with its sum over N.
"""

from __future__ import annotations

import numpy as np

from ._nonlinearity import Nonlinearity

TRIED = np.array([0.3, 1.7])
"""z at which the symmetry of σ is tested."""
TOGETHER = 2**15
"""Numbers σ(l·x + b) of the runs that descend together, few enough for a core's own cache."""


def features(sigma: Nonlinearity, neurons: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """c σ(l·x + b), (…, neuron, sample). neurons: (…, neuron, D); inputs: (sample, feature)."""
    sums = neurons[..., :-2] @ inputs.T + neurons[..., -2:-1]
    return neurons[..., -1:] * sigma.value(sums)


def outputs(sigma, neurons, inputs, shares=None) -> np.ndarray:
    """f_p at the inputs, (…, sample). shares: p, (…, neuron); None: equal ones."""
    if shares is None:
        return features(sigma, neurons, inputs).mean(axis=-2)
    return (shares[..., None] * features(sigma, neurons, inputs)).sum(axis=-2)


def mixed(neurons: np.ndarray, others: np.ndarray, s: float) -> tuple[np.ndarray, np.ndarray]:
    """(1 − s)p + sp': the neurons of both beside one another, with their exact shares."""
    n, m = neurons.shape[-2], others.shape[-2]
    shares = np.concatenate([np.full(n, (1 - s) / n), np.full(m, s / m)])
    return np.concatenate([neurons, others], axis=-2), shares


def descend(
    sigma: Nonlinearity, neurons: np.ndarray, inputs: np.ndarray, targets: np.ndarray,
    rate: float, steps: int, decay: float = 0.0,
) -> np.ndarray:  # fmt: skip
    """Neurons after gradient descent on mean (f − y)² + decay·mean |neuron|², with the mean-field
    rate: N times that of the weights, so that the speed of neurons does not depend on N.

    neurons: (run, neuron, D).
    """
    runs = max(1, TOGETHER // (neurons.shape[1] * len(inputs)))
    parts = [neurons[first : first + runs].copy() for first in range(0, len(neurons), runs)]
    seen = np.concatenate([inputs, np.ones((len(inputs), 1))], axis=1)
    for part in parts:
        inner, outer = part[..., :-1], part[..., -1:]
        for _ in range(steps):
            sums = inner @ seen.T
            values = sigma.value(sums)
            f = outer.mT @ values / part.shape[1]
            error = 2 * (f - targets).mT / len(targets)
            slope = outer * (sigma.slope(sums) @ (error * seen))
            step = np.concatenate([slope, values @ error], axis=-1)
            part -= rate * (step + 2 * decay * part)
    return np.concatenate(parts)


def is_odd(sigma: Nonlinearity) -> bool:
    """Is σ(−z) = −σ(z), so that (l, b, c) and (−l, −b, −c) are one neuron?"""
    return bool(np.allclose(sigma.value(-TRIED), -sigma.value(TRIED)))


def is_homogeneous(sigma: Nonlinearity) -> bool:
    """Is σ(λz) = λσ(z) for λ > 0, so that (λl, λb, c/λ) are one neuron?"""
    both = np.concatenate([-TRIED, TRIED])
    return bool(np.allclose(sigma.value(2 * both), 2 * sigma.value(both)))


def balanced(neurons: np.ndarray) -> np.ndarray:
    """Neurons of a homogeneous σ scaled to |c| = ‖(l, b)‖, the shortest of those that are one; a
    neuron whose c or whose (l, b) is 0, which computes nothing, becomes 0. (…, neuron, D)."""
    inner, c = neurons[..., :-1], neurons[..., -1:]
    norm, size = np.linalg.norm(inner, axis=-1, keepdims=True), np.abs(c)
    common = np.sqrt(norm * size)
    directions = [np.divide(x, s, out=np.zeros_like(x), where=s > 0)
                  for x, s in ((inner, norm), (c, size))]  # fmt: skip
    return common * np.concatenate(directions, axis=-1)


def matched_distance(neurons: np.ndarray, others: np.ndarray, odd: bool) -> float:
    """Root mean square distance of the neurons after the best matching of the two networks.

    odd: (l, b, c) and −(l, b, c) are one neuron, as they are where σ is odd. neurons: (neuron, D).
    """
    from scipy.optimize import linear_sum_assignment

    squares = (neurons**2).sum(1)[:, None] + (others**2).sum(1)
    products = neurons @ others.T
    cost = squares - 2 * (np.abs(products) if odd else products)
    rows, columns = linear_sum_assignment(cost)
    return float(np.sqrt(max(cost[rows, columns].mean(), 0)))
