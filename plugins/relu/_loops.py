"""The Hessian of two-layer ReLU networks, network by network, in compiled loops.

Formulas are those of `_population.hessian`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from nnflow import Compiled

from ._arccos import quotient


def hessian(w: np.ndarray, k: int, top: Sequence[float] | None = None) -> np.ndarray | None:
    """∇²E J for the teachers e_1 … e_k, (run, neuron·input, neuron·input); None where nothing is
    compiled. w: (run, neuron, input), float64. top: (neuron,), a = b; None: 1."""
    n = w.shape[1]
    students = np.ones(n) if top is None else np.asarray(top, dtype=np.float64)
    teachers = np.ones(k) if top is None else students
    return _hessians(np.ascontiguousarray(w), students, teachers)


def _over_networks(w, top, teachers):
    runs, n, d = w.shape
    out = np.empty((runs, n * d, n * d))
    unit, norm = np.empty((n, d)), np.empty(n)
    sine, cosine = np.empty((n, n)), np.empty((n, n))
    tangent, beyond = np.zeros((n, n, d)), np.empty(d)
    for run in range(runs):
        for i in range(n):
            square = 0.0
            for a in range(d):
                square += w[run, i, a] * w[run, i, a]
            norm[i] = math.sqrt(square)
            for a in range(d):
                unit[i, a] = w[run, i, a] / norm[i]
        for i in range(n):
            for j in range(n):
                if i != j:
                    cosine[i, j] = dot(unit[i], unit[j])
                    sine[i, j] = away_from(unit[j], cosine[i, j], unit[i], tangent[i, j])
        for i in range(n):
            own = out[run, i * d : (i + 1) * d, i * d : (i + 1) * d]
            own[:] = 0.0
            total = 0.0
            for j in range(n):
                if i != j:
                    bend = sine[i, j] * norm[j] * top[j] / (norm[i] * top[i] * 2 * math.pi)
                    total += bend
                    add_square(own, bend, tangent[i, j])
            for t in range(len(teachers)):
                across = 0.0
                for a in range(d):
                    beyond[a] = (1.0 if a == t else 0.0) - unit[i, t] * unit[i, a]
                    across += beyond[a] * beyond[a]
                across = math.sqrt(across)
                for a in range(d):
                    beyond[a] /= across if across > 0 else 1.0
                bend = -across * teachers[t] / (norm[i] * top[i] * 2 * math.pi)
                total += bend
                add_square(own, bend, beyond)
            add_square(own, -total, unit[i])
            factor = top[i] * top[i]
            for a in range(d):
                own[a, a] += 0.5 + total
                for b in range(a + 1):
                    own[a, b] *= factor
                    own[b, a] = own[a, b]
        for i in range(n):
            for j in range(n):
                if i == j:
                    continue
                factor = top[i] * top[j] / (2 * math.pi)
                bend = sine[min(i, j), max(i, j)]
                angle = bend * quotient(abs(cosine[i, j]))
                rest = angle if cosine[i, j] < 0 else math.pi - angle
                for a in range(d):
                    row = out[run, i * d + a, j * d : (j + 1) * d]
                    first, second = bend * tangent[j, i, a] * factor, bend * unit[j, a] * factor
                    add_two(row, first, tangent[i, j], second, unit[i])
                    row[a] += rest * factor
    return out


def _dot(x, y):
    total = 0.0
    for a in range(len(x)):
        total += x[a] * y[a]
    return total


def _away_from(x, cosine, y, tangent):
    """Write the unit vector of x − cos·y, and give its length, sin."""
    square = 0.0
    for a in range(len(x)):
        tangent[a] = x[a] - cosine * y[a]
        square += tangent[a] * tangent[a]
    size = math.sqrt(square)
    for a in range(len(x)):
        tangent[a] /= size if size > 0 else 1.0
    return size


def _add_square(block, factor, x):
    """The lower triangle of block + factor·xxᵀ."""
    for a in range(len(x)):
        scaled = factor * x[a]
        row = block[a]
        for b in range(a + 1):
            row[b] += scaled * x[b]


def _add_two(row, first, x, second, y):
    for b in range(len(row)):
        row[b] = first * x[b] + second * y[b]


dot, away_from, add_square, add_two = map(Compiled, (_dot, _away_from, _add_square, _add_two))
_hessians = Compiled(_over_networks, lambda w, top, teachers: None)
