"""Samples on which splitting a logistic neuron gives a bad minimum."""

from __future__ import annotations

from functools import cache

import numpy as np

RESIDUAL = 0.5
"""‖y − σ(x)‖: the loss of the bad minimum is half its square, .125."""


def logistic(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """σ, σ' and σ''."""
    from scipy.special import expit

    first = expit(values)
    slope = first * expit(-values)
    return first, slope, slope * (1 - 2 * first)


@cache
def split_data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    """Inputs x and targets y = σ(x) − e, (m,) each.

    e has the length RESIDUAL and is the part of σ''(x)x² that is orthogonal to σ(x) and to
    σ'(x)x. So the neuron f(x) = a σ(wx) has a critical point at a = w = 1, and
    B = Σₙ eₙ σ''(xₙ) xₙ² > 0. x = 1 … 4 at equal ratios; for m = 3, x = 1, 2, 4.
    """
    inputs = 4.0 ** (np.arange(samples) / (samples - 1))
    first, slope, bend = logistic(inputs)
    basis, _ = np.linalg.qr(np.stack([first, slope * inputs], axis=1))
    error = bend * inputs**2
    for _ in range(2):  # once more, for the last digits
        error = error - basis @ (basis.T @ error)
    return inputs, first - RESIDUAL * error / np.linalg.norm(error)
