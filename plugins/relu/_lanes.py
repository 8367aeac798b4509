"""Losses and gradients of many two-layer ReLU networks, side by side in vectors.

Formulas are those of `_population`; here each pair of students is met once, runs are the last axis,
and every sum has one order, so that a run's bits depend neither on the processor nor on its
companions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nnflow import (
    Compiled,
    LaneGradient,
    load_row,
    side_by_side,
    square_root,
    store_row,
    vectors,
)

from ._arccos import supplement


def loss(w: np.ndarray, k: int, top: Sequence[float] | None = None) -> np.ndarray:
    """E J for the teachers e_1 … e_k, (run,):

    E J = Σ_ij a_i a_j |w_i||w_j| h(θ_ij)/4π − Σ_ij a_i b_j |w_i| h(φ_ij)/2π + C with h(θ) =
    (π−θ) cos θ + sin θ, φ_ij the angle between w_i and e_j, and C the first sum of the teachers.

    w: (run, neuron, input), float64. top: (neuron,), a = b; None: 1.
    """
    return _loss(_flat(w), 1, _tops(w.shape[1], k, top))[:, 0]


def gradient(w: np.ndarray, k: int, top: Sequence[float] | None = None) -> np.ndarray:
    """∇E J in the shape of w:

    ∇_{w_i} = a_i/2π [Σ_j a_j(|w_j| sin θ_ij w̄_i + (π−θ_ij)w_j)
                    − Σ_j b_j(sin φ_ij w̄_i + (π−φ_ij)e_j)]

    with θ_ii = 0 (Safran & Shamir 2018, Section 4); the rest as in `loss`.
    """
    weights = _flat(w)
    return _gradient(weights, weights.shape[1], _tops(w.shape[1], k, top)).reshape(w.shape)


def lane_gradient(n: int, k: int, top: Sequence[float] | None = None) -> LaneGradient:
    """For `Model.lane_gradient`."""
    return LaneGradient(block_gradient, _array_gradient, _tops(n, k, top))


def _flat(w):
    """(run, weight), in one piece, as each layout in memory is compiled for by itself."""
    return np.ascontiguousarray(w).reshape(len(w), w.shape[1] * w.shape[2])


def _tops(n, k, top):
    """Top weights of students and teachers."""
    if top is None:
        return np.ones(n), np.ones(k)
    given = np.asarray(top, dtype=np.float64)
    return given, given


# Of LANES networks: the rows of w are a network's weights, neuron by neuron


def _combine(factors, w, found, start):
    """Write Σⱼ factorⱼwⱼ to `found`, from row `start` on."""
    n = len(factors)
    d = len(w) // n
    for a in range(0, d - 3, 4):  # four sums at a time, as none has to wait for another
        factor = load_row(factors, 0)
        first, second = factor * load_row(w, a), factor * load_row(w, a + 1)
        third, fourth = factor * load_row(w, a + 2), factor * load_row(w, a + 3)
        for j in range(1, n):
            factor, place = load_row(factors, j), j * d + a
            first += factor * load_row(w, place)
            second += factor * load_row(w, place + 1)
            third += factor * load_row(w, place + 2)
            fourth += factor * load_row(w, place + 3)
        store_row(found, start + a, first)
        store_row(found, start + a + 1, second)
        store_row(found, start + a + 2, third)
        store_row(found, start + a + 3, fourth)
    for a in range(d - d % 4, d):
        total = load_row(factors, 0) * load_row(w, a)
        for j in range(1, n):
            total += load_row(factors, j) * load_row(w, j * d + a)
        store_row(found, start + a, total)


combine = Compiled(_combine)


def _multiply(w, own, d, found, start):
    """Write the products of the neuron at row `own` with each before to `found`, from `start`."""
    n = own // d
    for j in range(0, n - 3, 4):
        place, x = j * d, load_row(w, own)
        first, second = x * load_row(w, place), x * load_row(w, place + d)
        third, fourth = x * load_row(w, place + 2 * d), x * load_row(w, place + 3 * d)
        for a in range(1, d):
            place, x = j * d + a, load_row(w, own + a)
            first += x * load_row(w, place)
            second += x * load_row(w, place + d)
            third += x * load_row(w, place + 2 * d)
            fourth += x * load_row(w, place + 3 * d)
        store_row(found, start + j, first)
        store_row(found, start + j + 1, second)
        store_row(found, start + j + 2, third)
        store_row(found, start + j + 3, fourth)
    for j in range(n - n % 4, n):
        total = load_row(w, own) * load_row(w, j * d)
        for a in range(1, d):
            total += load_row(w, own + a) * load_row(w, j * d + a)
        store_row(found, start + j, total)


multiply = Compiled(_multiply)


def _block_gradient(w, found, top, teachers):
    """∇E J of LANES networks. w, found: (neuron·input, LANES)."""
    n, k = len(top), len(teachers)
    d = len(w) // n
    norms, inverse, radial = vectors(n), vectors(n), vectors(n)
    angles, factors = vectors(n * (n - 1) // 2), vectors(n)
    for i in range(n):
        square = load_row(w, i * d) * load_row(w, i * d)
        for a in range(1, d):
            square += load_row(w, i * d + a) * load_row(w, i * d + a)
        norm = square_root(square)
        store_row(norms, i, norm)
        store_row(inverse, i, 1.0 / norm)
        store_row(radial, i, 0.0)
    for i in range(n):
        multiply(w, i * d, d, angles, i * (i - 1) // 2)
        for j in range(i):
            product = load_row(angles, i * (i - 1) // 2 + j)
            angle, sine = supplement(product * (load_row(inverse, i) * load_row(inverse, j)))
            store_row(angles, i * (i - 1) // 2 + j, angle)
            store_row(radial, i, load_row(radial, i) + sine * (load_row(norms, j) * top[j]))
            store_row(radial, j, load_row(radial, j) + sine * (load_row(norms, i) * top[i]))
    for i in range(n):
        for j in range(i):
            store_row(factors, j, load_row(angles, i * (i - 1) // 2 + j) * top[j])
        store_row(factors, i, math.pi * top[i])
        for j in range(i + 1, n):
            store_row(factors, j, load_row(angles, j * (j - 1) // 2 + i) * top[j])
        combine(factors, w, found, i * d)
        away = load_row(radial, i)
        norm = load_row(norms, i)
        for a in range(k):
            # a quotient, as that of a neuron along a teacher is 1 or −1
            angle, sine = supplement(load_row(w, i * d + a) / norm)
            store_row(found, i * d + a, load_row(found, i * d + a) - angle * teachers[a])
            away -= sine * teachers[a]
        away *= load_row(inverse, i)
        factor = top[i] / (2 * math.pi)
        for a in range(d):
            total = load_row(found, i * d + a) + away * load_row(w, i * d + a)
            store_row(found, i * d + a, total * factor)


block_gradient = Compiled(_block_gradient)


def _block_loss(w, found, top, teachers):
    """E J of LANES networks. found: (1, LANES)."""
    n, k = len(top), len(teachers)
    d = len(w) // n
    norms, products = vectors(n), vectors(n)
    among = across = 0.0
    for i in range(n):
        square = load_row(w, i * d) * load_row(w, i * d)
        for a in range(1, d):
            square += load_row(w, i * d + a) * load_row(w, i * d + a)
        norm = square_root(square)
        store_row(norms, i, norm)
        own = 0.0
        for a in range(k):
            cosine = load_row(w, i * d + a) / norm
            angle, sine = supplement(cosine)
            own += (angle * cosine + sine) * teachers[a]
        across += own * (norm * top[i])
        among += square * (math.pi / 2 * top[i] * top[i])
        own = 0.0
        multiply(w, i * d, d, products, 0)
        for j in range(i):
            product = load_row(products, j)
            size = norm * load_row(norms, j)
            angle, sine = supplement(product / size)
            own += (angle * product + sine * size) * top[j]
        among += own * top[i]
    store_row(found, 0, (among - across) / (2 * math.pi) + _own_loss(teachers))


def _constant(teachers):
    total, squares = 0.0, 0.0
    for b in teachers:
        total += b
        squares += b * b
    return (squares * (math.pi - 1.0) + total * total) / (4 * math.pi)


_own_loss = Compiled(_constant)
block_loss = Compiled(_block_loss)


# The same in NumPy, all networks at once


def _array_gradient(flat, numbers, tops):
    top, teachers = tops
    n, k = len(top), len(teachers)
    w = _neurons(flat, n)
    with np.errstate(all="ignore"):
        norm = np.sqrt(_summed(w * w, 1))
        inverse = 1.0 / norm
        product = w[:, None, 0] * w[None, :, 0]
        for a in range(1, w.shape[1]):
            product += w[:, None, a] * w[None, :, a]
        angle, sine = supplement(product * (inverse[:, None] * inverse))
        own = np.arange(n)
        angle[own, own], sine[own, own] = math.pi, 0.0
        away = _summed(sine * (norm * top[:, None]), 1)
        found = _summed((angle * top[:, None])[:, :, None] * w, 1)
        angle, sine = supplement(w[:, :k] / norm[:, None])
        found[:, :k] -= angle * teachers[:, None]
        for a in range(k):
            away -= sine[:, a] * teachers[a]
        found += (away * inverse)[:, None] * w
        found *= (top / (2 * math.pi))[:, None, None]
    return np.ascontiguousarray(found.reshape(flat.shape[::-1]).T)


def _array_loss(flat, numbers, tops):
    top, teachers = tops
    n, k = len(top), len(teachers)
    w = _neurons(flat, n)
    with np.errstate(all="ignore"):
        squares = _summed(w * w, 1)
        norm = np.sqrt(squares)
        cosine = w[:, :k] / norm[:, None]
        angle, sine = supplement(cosine)
        across = _summed((angle * cosine + sine) * teachers[:, None], 1) * (norm * top[:, None])
        product = w[:, None, 0] * w[None, :, 0]
        for a in range(1, w.shape[1]):
            product += w[:, None, a] * w[None, :, a]
        size = norm[:, None] * norm
        angle, sine = supplement(product / size)
        pairs = (angle * product + sine * size) * top[:, None]
        among = 0.0
        for i in range(n):
            among = among + squares[i] * (math.pi / 2 * top[i] * top[i])
            among = among + (_summed(pairs[i, :i], 0) * top[i] if i else 0.0)
        return ((among - _summed(across, 0)) / (2 * math.pi) + _constant(teachers))[:, None]


def _neurons(w, n):
    """(neuron, input, run) from (run, weight)."""
    return np.ascontiguousarray(w.T).reshape(n, w.shape[1] // n, len(w))


def _summed(terms, axis):
    """The sum from the first term to the last, which NumPy's own does not promise."""
    total = np.take(terms, 0, axis)
    for place in range(1, terms.shape[axis]):
        total += np.take(terms, place, axis)
    return total


_gradient = side_by_side(block_gradient, _array_gradient)
_loss = side_by_side(block_loss, _array_loss)
