"""Deep networks on data, of many weight variances at once: to which depth do they train?

Signals of two inputs can be distinguished through about ξ_c layers. Schoenholz et al. 2017
(arXiv:1611.01232) read off their maps that networks train to the depth 6ξ_c. The factor depends on
the training time, the rate and the width, so it is fitted here.
"""

from __future__ import annotations

import numpy as np

from ._fully_connected import random_layers
from ._nonlinearity import Nonlinearity

Fitted = tuple[float, float, float]
CLASSES = 10
JUDGED = 500
"""Training samples on which accuracies are measured, at most."""


def accuracies(
    sigma: Nonlinearity, generator: np.random.Generator, data, widths: list[int],
    weight_variances: np.ndarray, bias_variance: float, rate: float, minibatch: int,
    marks: list[int],
) -> np.ndarray:  # fmt: skip
    """Shares of right answers on training samples after `marks` steps, rising, (mark, run).

    Stochastic gradient descent on the cross-entropy of standard networks, one run for each of
    `weight_variances`; all runs see the same minibatches. data: (inputs (sample, feature), targets
    (sample,)).
    """
    inputs, targets = data
    layers = random_layers(
        generator, sigma, widths, len(weight_variances), weight_variances, bias_variance, True
    )
    rates, found = np.full(len(weight_variances), rate), []
    for step in range(marks[-1] + 1):
        if step in marks:
            answers = layers.outputs(inputs[:JUDGED]).argmax(axis=-1)
            found.append((answers == targets[:JUDGED]).mean(axis=1))
        rows = generator.integers(0, len(inputs), minibatch)
        wanted = np.eye(CLASSES)[targets[rows]]
        gradient = layers.gradient(inputs[rows], lambda f, wanted=wanted: _slope(f, wanted))
        layers = layers.moved(gradient, rates)
    return np.array(found)


def _slope(outputs: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Of the mean cross-entropy."""
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return (powers / powers.sum(axis=-1, keepdims=True) - wanted) / outputs.shape[1]


def trainable_depths(depths: np.ndarray, accuracy: np.ndarray, level: float) -> np.ndarray:
    """The depth at which the accuracy (depth, column) first falls through `level`, between two
    depths by linear interpolation in ln depth; NaN where it is below from the start, or never."""
    logs, found = np.log(depths), np.full(accuracy.shape[1], np.nan)
    for column, values in enumerate(accuracy.T):
        below = np.flatnonzero(values < level)
        if len(below) and below[0] > 0:
            i = below[0]
            part = (values[i - 1] - level) / (values[i - 1] - values[i])
            found[column] = np.exp(logs[i - 1] + part * (logs[i] - logs[i - 1]))
    return found


def fitted_line(depths: np.ndarray, scales: np.ndarray) -> tuple[Fitted, Fitted]:
    """m and L₀ of 1/depth = 1/(mξ_c) + 1/L₀ by least squares over columns, each with the ends of
    its 99 % interval; NaN where fewer than three columns have a depth.

    Losses a layer add: that of correlations, 1/ξ_c, and that of a finite width and a finite rate,
    which is left where ξ_c is infinite. An end is infinite where the other side of 0 is not
    excluded.
    """
    from scipy.special import stdtrit

    known = np.isfinite(depths)
    if known.sum() < 3:
        return (np.nan,) * 3, (np.nan,) * 3
    y = 1 / depths[known]
    matrix = np.stack([1 / scales[known], np.ones_like(y)], axis=1)
    found = np.linalg.lstsq(matrix, y, rcond=None)[0]
    free = len(y) - 2
    noise = ((y - matrix @ found) ** 2).sum() / free
    halves = stdtrit(free, 0.995) * np.sqrt(noise * np.diagonal(np.linalg.inv(matrix.T @ matrix)))
    return tuple(_inverse(x, x - half, x + half) for x, half in zip(found, halves, strict=True))


def _inverse(value: float, low: float, high: float) -> Fitted:
    """Of a positive number and its interval."""
    return tuple(1 / x if x > 0 else np.inf for x in (value, high, low))
