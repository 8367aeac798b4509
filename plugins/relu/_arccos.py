"""The angle of a cosine by arithmetic alone, so that its bits are the same on every processor."""

from __future__ import annotations

import math

import numpy as np

from nnflow import Compiled, choose


def _supplement(cosine):
    """π−θ and sin θ of cos θ, which is cut off at ±1.

    arcsin s = s + s³P(s²), with P of degree 12 through the values at Chebyshev's nodes of
    0 ≤ s² ≤ ¼ (error 4·10⁻¹⁸). For |cos θ| ≤ ½ s is |cos θ| and θ = π/2 ∓ arcsin s, beyond it
    s² = (1 − |cos θ|)/2 and θ or π−θ is 2 arcsin s.
    """
    size = np.abs(cosine)
    size = choose(size > 1.0, 1.0, size)
    near = size > 0.5
    square = choose(near, (1.0 - size) * 0.5, size * size)
    root = choose(near, np.sqrt(square), size)
    p = 0.028757851367421566
    p = p * square - 0.014851887071247204
    p = p * square + 0.01740087944269402
    p = p * square + 0.005457506718640358
    p = p * square + 0.01032281435018578
    p = p * square + 0.011479177415184906
    p = p * square + 0.013971212973552933
    p = p * square + 0.017352392720869973
    p = p * square + 0.02237217294214989
    p = p * square + 0.030381944138531247
    p = p * square + 0.04464285714635543
    p = p * square + 0.07499999999998433
    p = p * square + 0.16666666666666669
    arc = root + root * (square * p)
    angle = choose(near, arc + arc, 0.5 * math.pi - arc)
    sine = np.sqrt((1.0 - size) * (1.0 + size))
    return choose(cosine < 0.0, angle, math.pi - angle), sine


supplement = Compiled(_supplement)
