"""A proof, in ball arithmetic, that a split neuron is a bad minimum."""

from __future__ import annotations

import numpy as np
from flint import arb, arb_mat, ctx

PRECISION = 128
RADIUS = 2.0**-40
"""Half-width of the box in which the neuron's critical point is enclosed."""


def split_proof(inputs: np.ndarray, targets: np.ndarray) -> dict[str, tuple[float, float, float]]:
    """Enclosures (value, low, high) of `loss`, `curvature` and `determinant`; NaN: no proof.

    The float64 numbers of the samples are taken as exact. Newton's map in balls proves one
    critical point (w, a) of the single neuron's loss l(w, a) = ½Σ(aσ(wx) − y)² near (1, 1). At
    all neurons w_j = w, v_j = a/m the network's loss L is the same, and it is constant on the
    (m−1)-dimensional set {w_j = w, Σv_j = a}. Across that set its Hessian has

        (a/m) B,  B = Σ eₙ σ''(wxₙ) xₙ²,   m − 1 times (shifts δ_j of the w_j with Σδ_j = 0), and
        [[l_ww/m, l_wa], [l_wa, m l_aa]]   along equal unit shifts of all w_j, and of all v_j.

    `curvature` is the lower of aB/m and of that block's lowest eigenvalue. If it is positive, so
    it is at all points of the set nearby, and the point is a local minimum (Morse & Bott).
    `determinant` is det σ(W₁X) at W₁ = 1 … m: if it isn't 0, L = 0 is attained.
    """
    count = len(inputs)
    with ctx.workprec(PRECISION):
        x, y = [arb(float(v)) for v in inputs], [arb(float(v)) for v in targets]
        nothing = dict.fromkeys(("loss", "curvature", "determinant"), (np.nan,) * 3)
        try:
            center = _newton(x, y)
            box = [arb(c, RADIUS) for c in center]
            at_center, _, _ = _derivatives(*[arb(c) for c in center], x, y)
            _, hessian, _ = _derivatives(*box, x, y)
            step = arb_mat(hessian).solve(arb_mat([[g] for g in at_center]))
        except ZeroDivisionError:  # a Hessian that may be singular
            return nothing
        image = [arb(c) - step[i, 0] for i, c in enumerate(center)]
        if not all(b.contains_interior(i) for b, i in zip(box, image, strict=True)):
            return nothing
        w, a = image
        _, ((ww, wa), (_, aa)), bend = _derivatives(w, a, x, y)
        ww, aa = ww / count, aa * count
        lowest = (ww + aa - ((ww - aa) * (ww - aa) + 4 * wa * wa).sqrt()) / 2
        errors = [a * _sigma(w * one)[0] - target for one, target in zip(x, y, strict=True)]
        matrix = arb_mat([[_sigma(arb(j + 1) * one)[0] for one in x] for j in range(count)])
        found = {
            "loss": sum((e * e for e in errors), arb(0)) / 2,
            "curvature": lowest.min(a * bend / count),
            "determinant": matrix.det(),
        }
        return {name: _interval(ball) for name, ball in found.items()}


def _newton(x, y) -> list[float]:
    """The critical point near (1, 1), as float64 guesses."""
    point = [1.0, 1.0]
    for _ in range(5):
        gradient, hessian, _ = _derivatives(*[arb(p) for p in point], x, y)
        step = arb_mat(hessian).solve(arb_mat([[g] for g in gradient]))
        point = [float((arb(p) - step[i, 0]).mid()) for i, p in enumerate(point)]
    return point


def _derivatives(w, a, x, y):
    """Gradient and Hessian of l at balls (w, a), and B."""
    zero = arb(0)
    lw, la, ww, wa, aa, bend = zero, zero, zero, zero, zero, zero
    for one, target in zip(x, y, strict=True):
        s, s1, s2 = _sigma(w * one)
        error = a * s - target
        lw, la = lw + error * a * s1 * one, la + error * s
        ww += (a * s1 * one) * (a * s1 * one) + error * a * s2 * one * one
        wa += a * s1 * one * s + error * s1 * one
        aa, bend = aa + s * s, bend + error * s2 * one * one
    return [lw, la], [[ww, wa], [wa, aa]], bend


def _sigma(z):
    """σ, σ', σ'' of a ball."""
    s = 1 / (1 + (-z).exp())
    slope = s * (1 - s)
    return s, slope, slope * (1 - 2 * s)


def _interval(ball) -> tuple[float, float, float]:
    """Middle and ends, rounded outwards."""
    low, high = float(ball.lower()), float(ball.upper())
    return float(ball.mid()), np.nextafter(low, -np.inf), np.nextafter(high, np.inf)
