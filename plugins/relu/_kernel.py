"""The arc-cosine kernel of two ReLU neurons with Gaussian inputs, and its derivatives.

Everything here is arithmetic alone, so that floats, NumPy arrays, tensors, balls and power series
of balls may be put in.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple


def arc_cosine(angle: Any, cosine: Any, sine: Any, pi: Any = math.pi) -> Any:
    """h(θ) = (π−θ) cos θ + sin θ for θ in [0, π], falling from π to 0 (Cho & Saul 2009).

    E σ(w·x)σ(v·x) = ‖w‖‖v‖h(θ)/2π for x ~ N(0, I), θ the angle between w and v. Cosine and sine
    are asked for, as callers often know them better than by way of the angle.
    """
    return (pi - angle) * cosine + sine


def arc_cosine_slope(angle: Any, sine: Any, pi: Any = math.pi) -> Any:
    """−h'(θ) = (π−θ) sin θ for θ in [0, π]."""
    return (pi - angle) * sine


class Kernel(NamedTuple):
    """f(N, M, q) = E σ(w·x)σ(v·x) with N = ‖w‖², M = ‖v‖², q = w·v, and its partial derivatives.

    first: (f_N, f_M, f_q); second: {(i, j): f_ij}, i ≤ j, in the same order.
    """

    value: Any
    first: tuple[Any, Any, Any]
    second: dict[tuple[int, int], Any]


def kernel(n: Any, m: Any, q: Any, square: Any, pi: Any) -> Kernel:
    """f = (D + (π−θ)q)/2π with D = √(NM − q²) = ‖w‖‖v‖ sin θ, which is ‖w‖‖v‖h(θ)/2π, hence

    f_q = (π−θ)/2π, f_N = D/4πN, f_qq = 1/2πD, f_NM = 1/8πD, f_Nq = −q/4πND,
    f_NN = (NM − 2D²)/8πDN².

    n, m, q: tensors of any shape or single balls; square: D², which the caller may know better
    than by the difference; π−θ is π/2 + arctan(q/D). Parallel neurons (D = 0) give NaN, in
    balls infinite radii.
    """
    d = square.sqrt()
    rest = pi / 2 + (q / d).atan()
    return Kernel(
        (d + rest * q) / (2 * pi),
        (d / (4 * pi * n), d / (4 * pi * m), rest / (2 * pi)),
        {
            (0, 0): (n * m - 2 * square) / (8 * pi * d * n * n),
            (0, 1): 1 / (8 * pi * d),
            (0, 2): -q / (4 * pi * n * d),
            (1, 1): (n * m - 2 * square) / (8 * pi * d * m * m),
            (1, 2): -q / (4 * pi * m * d),
            (2, 2): 1 / (2 * pi * d),
        },
    )
