"""Gradients of many two-layer ReLU networks side by side in the lanes of the processor's vectors.

Formulas are those of `_population`; here each pair of students is met once, runs are the last axis,
and every sum has one order, so that a run's bits depend neither on the processor nor on its
companions.
"""

from __future__ import annotations

import math

import numpy as np

from nnflow import Compiled

from ._arccos import supplement

LANES = 8
"""Runs side by side: two vectors of AVX2, one of AVX-512. Of 16, the arrays of k = n = 20 would not
fit the first cache."""


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
    k = len(teachers)
    out = np.empty((runs, n, d))
    unit, pull = np.empty((n, d, LANES)), np.empty((n, d, LANES))
    length, radial = np.empty((n, LANES)), np.empty((n, LANES))
    cosine, sine = np.empty((max(n, k), LANES)), np.empty((max(n, k), LANES))
    for start in range(0, runs, LANES):
        full = min(LANES, runs - start)
        for i in range(n):
            for a in range(d):
                for lane in range(LANES):
                    unit[i, a, lane] = w[start + min(lane, full - 1), i, a]
            for lane in range(LANES):
                length[i, lane] = 0.0
            for a in range(d):
                for lane in range(LANES):
                    length[i, lane] += unit[i, a, lane] * unit[i, a, lane]
            for lane in range(LANES):
                length[i, lane] = math.sqrt(length[i, lane])
            for a in range(d):
                for lane in range(LANES):
                    unit[i, a, lane] /= length[i, lane]
            for lane in range(LANES):
                length[i, lane] *= top[i]
                radial[i, lane] = 0.0
            for a in range(k):  # towards the teachers
                for lane in range(LANES):
                    rest, across = supplement(unit[i, a, lane])
                    cosine[a, lane] = teachers[a] * rest
                    sine[a, lane] = teachers[a] * across
            for a in range(d):
                for lane in range(LANES):
                    pull[i, a, lane] = math.pi * length[i, lane] * unit[i, a, lane]
            for a in range(k):
                for lane in range(LANES):
                    pull[i, a, lane] -= cosine[a, lane]
                    radial[i, lane] -= sine[a, lane]
        for i in range(n):  # among the students
            for j in range(i):
                for lane in range(LANES):
                    cosine[j, lane] = 0.0
                for a in range(d):
                    for lane in range(LANES):
                        cosine[j, lane] += unit[i, a, lane] * unit[j, a, lane]
            for j in range(i):
                for lane in range(LANES):
                    cosine[j, lane], sine[j, lane] = supplement(cosine[j, lane])
            for j in range(i):
                for lane in range(LANES):
                    radial[i, lane] += sine[j, lane] * length[j, lane]
                    radial[j, lane] += sine[j, lane] * length[i, lane]
                for a in range(d):
                    for lane in range(LANES):
                        pull[i, a, lane] += cosine[j, lane] * length[j, lane] * unit[j, a, lane]
                        pull[j, a, lane] += cosine[j, lane] * length[i, lane] * unit[i, a, lane]
        for i in range(n):
            factor = top[i] / (2 * math.pi)
            for a in range(d):
                for lane in range(LANES):
                    pull[i, a, lane] += radial[i, lane] * unit[i, a, lane]
                    pull[i, a, lane] *= factor
        for lane in range(full):
            for i in range(n):
                for a in range(d):
                    out[start + lane, i, a] = pull[i, a, lane]
    return out


def _array_gradient(w, top, teachers):
    unit = np.ascontiguousarray(w.transpose(1, 2, 0))  # (neuron, input, run)
    n, d, runs = unit.shape
    with np.errstate(all="ignore"):
        length = np.sqrt(_summed(unit * unit, 1))
        unit = unit / length[:, None]
        length = length * top[:, None]
        pull = math.pi * length[:, None] * unit
        rest, across = supplement(unit[:, : len(teachers)])
        pull[:, : len(teachers)] -= teachers[:, None] * rest
        radial = 0.0 - _summed(teachers[:, None] * across, 1)
        cosine = np.zeros((n, n, runs))
        for a in range(d):
            cosine += unit[:, None, a] * unit[None, :, a]
        rest, across = supplement(cosine)
        for j in range(n):
            others = np.arange(n) != j
            radial[others] += across[others, j] * length[j]
            pull[others] += (rest[others, j] * length[j])[:, None] * unit[j]
        pull += radial[:, None] * unit
        pull *= (top / (2 * math.pi))[:, None, None]
    return np.ascontiguousarray(pull.transpose(2, 0, 1))


def _summed(terms, axis):
    """The sum from the first term to the last, which NumPy's own does not promise."""
    total = np.zeros_like(np.take(terms, 0, axis))
    for place in range(terms.shape[axis]):
        total += np.take(terms, place, axis)
    return total


_gradient = Compiled(_lane_gradient, _array_gradient)
