"""Gradients of many deep linear networks, side by side in vectors.

Every sum has one order, so that a run's bits depend neither on the processor nor on its companions.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from nnflow import (
    Compiled,
    LaneGradient,
    load_row,
    store_row,
    vectors,
)

WIDEST = 12
"""Widest layer of networks that go side by side. A gradient of 16 runs takes 27 µs at 12-12-12-12
and 50 at 16-16-16-16, NumPy's stacked products 72 and 74; of 1000 runs the latter are as fast."""


class Quadratic(NamedTuple):
    """The slope of a loss that is quadratic in the product P = W_K⋯W_1: G(P) = c(PA − T)B.

    widths: d₀, …, d_K. shift: what is added to the diagonals of all weights, which then are
    square: the layers are I + V for 1. inward: A, (d₀, m), none (0, 0) for I. target: T, (d_K, m).
    outward: B, (m, d₀), none for I. factor: c.
    """

    widths: np.ndarray
    shift: float
    inward: np.ndarray
    target: np.ndarray
    outward: np.ndarray
    factor: float


NONE = np.empty((0, 0))


def quadratic(
    widths: Sequence[int],
    target: np.ndarray,
    inward: np.ndarray = NONE,
    outward: np.ndarray = NONE,
    factor: float = 1.0,
    shift: float = 0.0,
) -> Quadratic:
    """As compiled code takes it."""
    rows = (np.ascontiguousarray(array, dtype=np.float64) for array in (inward, target, outward))
    return Quadratic(np.array(widths, dtype=np.int64), float(shift), *rows, float(factor))


def lane_gradient(loss: Quadratic) -> LaneGradient | None:
    """∇_{W_k} = (W_K⋯W_{k+1})ᵀ G(P) (W_{k−1}⋯W_1)ᵀ; None where a layer is wider than `WIDEST`."""
    if loss.widths.max() > WIDEST:
        return None
    return LaneGradient(block_gradient, _array_gradient, tuple(loss))


# Of LANES networks: the rows of an array are the entries of matrices, row by row


def _multiply(a, left, b, right, steps, shape, found, start):
    """Write the product of two matrices to `found`, from row `start` on. left, right: the rows
    where they begin. steps: how many rows further is the next row of a, its next column, and those
    of b. shape: rows, columns of a, and columns of b."""
    a_row, a_column, b_row, b_column = steps
    rows, inner, columns = shape
    for _ in range(rows):
        for j in range(0, columns - 3, 4):  # four sums at a time, as none has to wait for another
            x, y = load_row(a, left), right + j * b_column
            first, second = x * load_row(b, y), x * load_row(b, y + b_column)
            third, fourth = x * load_row(b, y + 2 * b_column), x * load_row(b, y + 3 * b_column)
            for k in range(1, inner):
                y += b_row
                x = load_row(a, left + k * a_column)
                first += x * load_row(b, y)
                second += x * load_row(b, y + b_column)
                third += x * load_row(b, y + 2 * b_column)
                fourth += x * load_row(b, y + 3 * b_column)
            store_row(found, start + j, first)
            store_row(found, start + j + 1, second)
            store_row(found, start + j + 2, third)
            store_row(found, start + j + 3, fourth)
        for j in range(columns - columns % 4, columns):
            y = right + j * b_column
            total = load_row(a, left) * load_row(b, y)
            for k in range(1, inner):
                y += b_row
                total += load_row(a, left + k * a_column) * load_row(b, y)
            store_row(found, start + j, total)
        left += a_row
        start += columns


def _times(a, rows, matrix, found):
    """Write the product of a matrix of `rows` rows with one that is the same for all networks to
    `found`; an empty one is the identity."""
    inner, columns = matrix.shape
    if inner == 0:
        for x in range(min(len(a), len(found))):
            store_row(found, x, load_row(a, x))
    for i in range(rows):
        for j in range(columns):
            total = load_row(a, i * inner) * matrix[0, j]
            for k in range(1, inner):
                total += load_row(a, i * inner + k) * matrix[k, j]
            store_row(found, i * columns + j, total)


multiply, times = Compiled(_multiply), Compiled(_times)


def _block_gradient(w, found, widths, shift, inward, target, outward, factor):
    """∇L of LANES networks. w, found: (weight, LANES); the rest is `Quadratic`."""
    layers, d = len(widths) - 1, widths[0]
    outputs, samples = target.shape
    one = len(widths) - layers  # for each place of a literal 1 `multiply` would be compiled anew
    none = one - one
    entries = widest = widths[1] * d
    for k in range(2, layers + 1):
        entries += widths[k] * d
        widest = max(widest, widths[k] * d)
    below = vectors(entries)  # W_1, W_2W_1, …, each (d_k, d₀)
    slope, pulled, misfit = vectors(widest), vectors(widest), vectors(outputs * samples)
    factors = w
    if shift != 0.0:
        factors = vectors(len(w))
        for x in range(len(w)):
            place = x % (d * d)
            more = shift if place // d == place % d else 0.0
            store_row(factors, x, load_row(w, x) + more)
    at, product = widths[1] * d, none  # where the next weights, and the last product, begin
    for x in range(at):
        store_row(below, x, load_row(factors, x))
    for k in range(1, layers):
        rows, inner = widths[k + 1], widths[k]
        beyond = product + inner * d
        multiply(factors, at, below, product, (inner, one, d, one), (rows, inner, d), below, beyond)
        at += rows * inner
        product = beyond
    for x in range(outputs * d):
        store_row(slope, x, load_row(below, product + x))
    times(slope, outputs, inward, misfit)
    for i in range(outputs):
        for s in range(samples):
            row = i * samples + s
            store_row(misfit, row, load_row(misfit, row) - target[i, s])
    times(misfit, outputs, outward, slope)
    for x in range(outputs * d):
        store_row(slope, x, load_row(slope, x) * factor)
    for k in range(layers - 1, 0, -1):
        rows, inner = widths[k + 1], widths[k]
        product -= inner * d
        at -= rows * inner
        multiply(slope, none, below, product, (d, one, one, d), (rows, d, inner), found, at)
        steps = one, inner, d, one
        multiply(factors, at, slope, none, steps, (inner, rows, d), pulled, none)
        slope, pulled = pulled, slope
    for x in range(widths[1] * d):
        store_row(found, x, load_row(slope, x))


block_gradient = Compiled(_block_gradient)


# The same in NumPy, all networks at once, with the runs as the last axis


def _array_gradient(flat, numbers, loss):
    loss = Quadratic(*loss)
    with np.errstate(all="ignore"):  # runs that diverge
        factors = _matrices(np.ascontiguousarray(flat.T), loss.widths)
        if loss.shift != 0.0:
            factors = [w + loss.shift * np.eye(len(w))[..., None] for w in factors]
        below = [factors[0]]
        for w in factors[1:]:
            below.append(_product(w, below[-1]))
        misfit = below[-1]
        if len(loss.inward) > 0:
            misfit = _product(misfit, loss.inward[..., None])
        misfit = misfit - loss.target[..., None]
        slope = misfit if len(loss.outward) == 0 else _product(misfit, loss.outward[..., None])
        slope = slope * loss.factor
        found = []
        for k in range(len(factors) - 1, 0, -1):
            found.append(_product(slope, below[k - 1].swapaxes(0, 1)))
            slope = _product(factors[k].swapaxes(0, 1), slope)
        found = [slope, *reversed(found)]
    rows = [matrix.reshape(len(matrix) * matrix.shape[1], len(flat)) for matrix in found]
    return np.ascontiguousarray(np.concatenate(rows).T)


def _matrices(w, widths):
    """The matrices (output, input, run) of (weight, run)."""
    found, start = [], 0
    for inputs, outputs in pairwise(widths):
        end = start + inputs * outputs
        found.append(w[start:end].reshape(outputs, inputs, w.shape[1]))
        start = end
    return found


def _product(a, b):
    """(i, j, run) of (i, k, run) and (k, j, run), from the first term to the last."""
    total = a[:, 0, None] * b[None, 0]
    for k in range(1, a.shape[1]):
        total += a[:, k, None] * b[None, k]
    return total
