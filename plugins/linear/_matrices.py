"""What analyses of deep linear networks share: their matrices, ranks and critical values."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from itertools import combinations

import numpy as np

RANK_ABOVE = 1e-7
"""Singular values below this, beside the largest or 1, count as zero."""


def matrices(model, dataset) -> list[np.ndarray]:
    """W₁, …, W_K, each (run, d_k, d_{k−1})."""
    return [dataset[name].values for name in model.shapes()]


def product(layers: list[np.ndarray], size: int, runs: int) -> np.ndarray:
    """Their product, the last one leftmost; the identity of the given size where there are
    none; (run, …, …)."""
    if not layers:
        return np.broadcast_to(np.eye(size), (runs, size, size))
    return reduce(lambda done, layer: layer @ done, layers)


def rank(matrix: np.ndarray) -> np.ndarray:
    """Numerical ranks, (run,)."""
    values = np.linalg.svd(matrix, compute_uv=False)
    return (values > RANK_ABOVE * np.maximum(1, values[:, :1])).sum(axis=1)


def ranks(layers: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """r_R = rank(W_K ⋯ W₂) and r_Z = rank(W_{K−1} ⋯ W₂), each (run,)."""
    runs, size = len(layers[0]), layers[0].shape[1]
    return rank(product(layers[1:], size, runs)), rank(product(layers[1:-1], size, runs))


def critical_values(values: np.ndarray, fitting: int) -> np.ndarray:
    """½Σs² over each set of missed singular values of which at most `fitting` are kept, in
    ascending order, without repetition (to 12 digits)."""
    sets = [kept for size in range(fitting + 1) for kept in combinations(range(len(values)), size)]
    missed = [np.delete(values, kept) for kept in sets]
    return np.unique(np.round([(part**2).sum() / 2 for part in missed], 12))


def has_descent(layers: list[np.ndarray], target: np.ndarray, kept: int) -> np.ndarray:
    """Do the ranks at critical points that keep the r largest of distinct singular values,
    r below the smallest width, say that the Hessian has a negative eigenvalue? (run,)

    It has none exactly where, for all j < i, rank(W_{i−1} ⋯ W_{j+1}) = r or
    rank(W_{j−1} ⋯ W₁ Yᵀ W_K ⋯ W_{i+1}) = r, the products of no layers being identities: the second
    variation beside the kept modes consists of products of the two matrices with one change each
    of W_j and W_i. Achour, Malgouyres & Gerchinovitz (arXiv:2107.13289) call it tightened pivots.
    """
    runs, count = len(layers[0]), len(layers)
    steep = np.zeros(runs, dtype=bool)
    for j, i in combinations(range(count), 2):
        between = product(layers[j + 1 : i], layers[j].shape[1], runs)
        before = product(layers[:j], layers[0].shape[2], runs)
        behind = product(layers[i + 1 :], layers[-1].shape[1], runs)
        steep |= (rank(between) > kept) & (rank(before @ target.T @ behind) > kept)
    return steep


def values_of(model) -> np.ndarray:
    """The critical values of a network's loss."""
    return critical_values(model.modes[1], min(model.widths))


def off_values(model, loss: np.ndarray, within: float) -> int:
    """How many of the losses (run,) are further than this from every critical value."""
    return int((np.abs(loss[:, None] - values_of(model)).min(axis=1) > within).sum())


def constructed(configuration):
    """The initializer `linear_critical_points` of a configuration, itself or as the distribution
    of common starts; None where it has another."""
    outer = configuration.settings.initializer
    for initializer in (outer, getattr(outer, "law", None)):
        if initializer is not None and initializer.name == "linear_critical_points":
            return initializer
    return None


def first_of_widths(results) -> list:
    """The first configuration of each list of widths."""
    first = {}
    for configuration in results.configurations:
        first.setdefault(tuple(configuration.settings.model.widths), configuration)
    return list(first.values())


def slopes_in_rate(configurations, sizes: dict[str, np.ndarray]) -> Iterator[tuple]:
    """(configuration, slope of log(size) against log(rate)) of those that differ in the rate of
    gradient descent alone. sizes: {label: a number, or (run,)}; where one of them has none, there
    is no slope."""
    for group in _by_rate(configurations):
        if len(group) > 1 and all(one.label in sizes for one in group):
            rates = [one.settings.optimizer.rate for one in group]
            logs = np.log([sizes[one.label] for one in group])
            slope = np.polyfit(np.log(rates), logs, 1)[0]
            yield from ((one, slope) for one in group)


def _by_rate(configurations) -> list[list]:
    """Configurations of gradient descent that differ in the rate alone."""
    groups: dict[str, list] = {}
    for configuration in configurations:
        settings = configuration.settings
        if settings.optimizer.name == "gradient_descent":
            rest = repr((settings.model, settings.initializer, settings.runs))
            groups.setdefault(rest, []).append(configuration)
    return list(groups.values())


def pace(optimizer) -> float:
    """The time of the gradient flow that one step stands for."""
    return optimizer.interval if optimizer.name == "gradient_flow" else optimizer.rate
