"""Ensembles of random networks of finite width, many at once.

K_k = α_w²|σ(z_k)|²/n + α_h² is the variance that layer k gives to the next one's sums. With
Gaussian weights and biases the sums z of a layer are, given K, independent N(0, K): so a forward
pass draws n numbers per layer and no matrix, exactly in law. With weights of other laws the
matrices are drawn.

Where K is near a fixed point q of ν, to the order 1/n (with a = ν'(q)):

    n Var K → V = α_w⁴ Var σ²/(1 − a²),   n(E K − q) → B = ½ν''(q)V/(1 − a).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..general._orthogonal import orthogonal
from ._gaussian import expectation
from ._phase_diagram import Table
from ._signal import Propagation

BLOCK = 4_000_000
"""Numbers drawn at once."""
AROUND = 20.0
"""ν is tabulated from q/AROUND to AROUND·q."""


@dataclass(frozen=True)
class Corrections:
    """q, a, B and V at a fixed point."""

    q: float
    a: float
    bias: float
    variance: float


def corrections(maps: Propagation, q: float) -> Corrections:
    """The terms of order 1/n at a fixed point q > 0 with |a| < 1."""
    sigma, w, root = maps.moments.sigma, maps.weight_variance, np.sqrt(q)
    values, _ = expectation(
        lambda s: np.stack([sigma.value(root * s) ** 2, sigma.value(root * s) ** 4]),
        q, sigma.kinks, f"activation {sigma.name!r}",
    )  # fmt: skip
    a = maps.slopes(q)[0].value
    variance = w**2 * (values[1] - values[0] ** 2) / (1 - a**2)
    step = 1e-4 * q
    bend = np.diff(w * maps.moments.single(q + step * np.array([-1, 1]))[0][2])[0] / (2 * step)
    return Corrections(q, a, bend * variance / (2 * (1 - a)), variance)


def lengths(
    maps: Propagation,
    generator: np.random.Generator,
    width: int,
    depth: int,
    runs: int,
    start: float,
) -> np.ndarray:
    """K of each run after each layer, (run, depth + 1), from K₀ = start."""
    sigma = maps.moments.sigma
    found = np.empty((runs, depth + 1))
    found[:, 0] = start
    for rows in blocks(runs, width):
        for layer in range(depth):
            z = generator.standard_normal((len(rows), width))
            z *= np.sqrt(found[rows, layer])[:, None]
            found[rows, layer + 1] = _given(maps, sigma.value(z))
    return found


def controlled_bias(maps: Propagation, at: Corrections, found: np.ndarray) -> np.ndarray:
    """R of each run after each layer, with mean E K − q and far less spread than K − q:

    R' = aR + ν(K) − ν(q) − a(K − q), as E(K' | K) = ν(K). found: K, (run, layer), from K₀ = q.
    """
    w, h = maps.weight_variance, maps.bias_variance
    low, high = at.q / AROUND, at.q * AROUND
    table = Table(lambda q: w * maps.moments.single(q)[0][:1] + h, low, high)
    bent = table(np.clip(found, low, high).ravel())[0].reshape(found.shape)
    bent -= at.q + at.a * (found - at.q)
    r = np.zeros_like(found)
    for layer in range(found.shape[1] - 1):
        r[:, layer + 1] = at.a * r[:, layer] + bent[:, layer]
    return r


def pairs(
    maps: Propagation, generator: np.random.Generator, width: int, depth: int, runs: int,
    q: float, c: float,
) -> np.ndarray:  # fmt: skip
    """Correlations of the sums of two inputs, (run, depth + 1), from lengths q and this c."""
    sigma = maps.moments.sigma
    found = np.empty((runs, depth + 1))
    for rows in blocks(runs, 2 * width):
        covariance = np.broadcast_to([q, q, c * q], (len(rows), 3)).copy()
        found[rows, 0] = c
        for layer in range(depth):
            z = generator.standard_normal((2, len(rows), width))
            first, second, both = (x[:, None] for x in covariance.T)
            u = np.sqrt(first) * z[0]
            slope = both / first
            v = slope * u + np.sqrt(np.maximum(second - slope * both, 0)) * z[1]
            x, y = sigma.value(u), sigma.value(v)
            sums = [(x * x).mean(axis=1), (y * y).mean(axis=1), (x * y).mean(axis=1)]
            covariance = maps.weight_variance * np.stack(sums, axis=1) + maps.bias_variance
            found[rows, layer + 1] = covariance[:, 2] / np.sqrt(covariance[:, :2].prod(axis=1))
    return found


def lengths_of_matrices(
    maps: Propagation, generator: np.random.Generator, law: str, width: int, depth: int, runs: int,
    start: float,
) -> np.ndarray:  # fmt: skip
    """As `lengths`, with weights of another law, whose matrices are drawn: `gaussian`, `uniform` or
    `orthogonal` (uniform on the orthogonal group, times α_w). Biases are Gaussian."""
    sigma, found = maps.moments.sigma, np.empty((runs, depth + 1))
    found[:, 0] = start
    for rows in blocks(runs, width**2):
        z = np.sqrt(start) * generator.standard_normal((len(rows), width))
        found[rows, 1] = _given(maps, sigma.value(z))
        for layer in range(1, depth):
            matrix = _matrix(law, generator, (len(rows), width, width))
            z = np.sqrt(maps.weight_variance) * (matrix @ sigma.value(z)[..., None])[..., 0]
            z += np.sqrt(maps.bias_variance) * generator.standard_normal(z.shape)
            found[rows, layer + 1] = _given(maps, sigma.value(z))
    return found


def lengths_with_uniform_biases(
    maps: Propagation,
    generator: np.random.Generator,
    width: int,
    depth: int,
    runs: int,
    start: float,
) -> np.ndarray:
    """|z|²/n of the last layer, (run,): Gaussian weights, biases uniform on ±√3 α_h."""
    found = np.empty(runs)
    reach = np.sqrt(3 * maps.bias_variance)
    for rows in blocks(runs, width):
        variance = np.full(len(rows), start)
        for _ in range(depth):
            z = np.sqrt(variance)[:, None] * generator.standard_normal((len(rows), width))
            z += reach * (2 * generator.random((len(rows), width)) - 1)
            variance = maps.weight_variance * (maps.moments.sigma.value(z) ** 2).mean(axis=1)
        found[rows] = (z**2).mean(axis=1)
    return found


def blocks(runs: int, size: int) -> list[np.ndarray]:
    """The runs in parts of at most BLOCK numbers."""
    return np.array_split(np.arange(runs), max(1, -(-runs * size // BLOCK)))


def _given(maps: Propagation, values: np.ndarray) -> np.ndarray:
    return maps.weight_variance * (values**2).mean(axis=1) + maps.bias_variance


def _matrix(law: str, generator: np.random.Generator, shape: tuple[int, int, int]) -> np.ndarray:
    """Entries of mean 0 and variance 1/width."""
    if law == "uniform":
        return np.sqrt(3 / shape[-1]) * (2 * generator.random(shape) - 1)
    drawn = generator.standard_normal(shape)
    if law == "gaussian":
        return drawn / np.sqrt(shape[-1])
    return orthogonal(drawn)
