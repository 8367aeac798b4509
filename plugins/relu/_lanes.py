"""Gradients of many two-layer ReLU networks side by side in the lanes of the processor's vectors.

Formulas are those of `_population`; here each pair of students is met once, runs are the last axis,
and every sum has one order, so that a run's bits depend neither on the processor nor on its
companions.
"""

from __future__ import annotations

import math

import numpy as np

from nnflow import LANES, Compiled, load_row, square_root, store_row

from ._arccos import supplement


def gradient(w: np.ndarray, k: int, top: np.ndarray | None = None) -> np.ndarray:
    """∇E J for the teachers e_1 … e_k, in the shape of w (run, neuron, input), float64:

    ∇_{w_i} = a_i/2π [Σ_j a_j(|w_j| sin θ_ij w̄_i + (π−θ_ij)w_j)
                    − Σ_j b_j(sin φ_ij w̄_i + (π−φ_ij)e_j)]

    with θ_ii = 0 and φ_ij the angle between w_i and e_j (Safran & Shamir 2018, Section 4).
    top: (neuron,), a = b; None: 1.
    """
    students = np.ones(w.shape[1]) if top is None else np.asarray(top, dtype=np.float64)
    teachers = np.ones(k) if top is None else students
    return _gradient(np.ascontiguousarray(w), students, teachers)


def _lane_gradient(w, top, teachers):
    runs, n, d = w.shape
    here, out = np.empty((n * d, LANES)), np.empty((runs, n, d))
    found = np.empty((n * d, LANES))
    for start in range(0, runs, LANES):
        full = min(LANES, runs - start)
        for lane in range(LANES):
            run = start + min(lane, full - 1)
            for i in range(n):
                for a in range(d):
                    here[i * d + a, lane] = w[run, i, a]
        block_gradient(here, top, teachers, found)
        for lane in range(full):
            for i in range(n):
                for a in range(d):
                    out[start + lane, i, a] = found[i * d + a, lane]
    return out


def _block_gradient(w, top, teachers, found):
    """∇E J of LANES networks. w, found: (neuron·input, LANES)."""
    n, k = len(top), len(teachers)
    d = len(w) // n
    norms, inverse, radial = np.empty((n, LANES)), np.empty((n, LANES)), np.empty((n, LANES))
    angles, factors = np.empty((n * (n - 1) // 2, LANES)), np.empty((n, LANES))
    for i in range(n):
        square = load_row(w, i * d) * load_row(w, i * d)
        for a in range(1, d):
            square += load_row(w, i * d + a) * load_row(w, i * d + a)
        norm = square_root(square)
        store_row(norms, i, norm)
        store_row(inverse, i, 1.0 / norm)
        store_row(radial, i, 0.0)
    for i in range(n):
        for j in range(i):
            product = load_row(w, i * d) * load_row(w, j * d)
            for a in range(1, d):
                product += load_row(w, i * d + a) * load_row(w, j * d + a)
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
        for a in range(d):
            total = load_row(factors, 0) * load_row(w, a)
            for j in range(1, n):
                total += load_row(factors, j) * load_row(w, j * d + a)
            store_row(found, i * d + a, total)
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


def _array_gradient(w, top, teachers):
    n, k = len(top), len(teachers)
    w = np.ascontiguousarray(w.transpose(1, 2, 0))  # (neuron, input, run)
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
    return np.ascontiguousarray(found.transpose(2, 0, 1))


def _summed(terms, axis):
    """The sum from the first term to the last, which NumPy's own does not promise."""
    total = np.take(terms, 0, axis)
    for place in range(1, terms.shape[axis]):
        total += np.take(terms, place, axis)
    return total


_gradient = Compiled(_lane_gradient, _array_gradient)
