"""Distributions of the inputs x, scaled to E xxᵀ = I, and the population gating F(e, w) of each.

For an isotropic distribution E F(e, w) = A(θ)w + |w|B(θ)e for each sample (Tian 2017, Eq. 7). Only
the projection of x onto the plane of e and w counts; its direction is uniform and independent of
its length r, so that, with e at the angle 0 and w at θ,

    E F(e, w) = |w| E r²/2π ∫_{θ−π/2}^{π/2} cos(ψ − θ)(cos ψ, sin ψ) dψ :

A and B depend on the distribution through E r² alone, which is 2 where E xxᵀ = I. They are then
those of the Gaussian, A = (π − θ)/2π and B = sin θ/2π, for each isotropic distribution.
"""

from __future__ import annotations

import numpy as np

FREEDOM = 10
"""Degrees of freedom of the Student distribution. Above 4, F has a variance, and errors fall as
N^(−½); above 8 the variance can be estimated in its turn."""

ISOTROPIC = ("gaussian", "sphere", "student")
DISTRIBUTIONS = (*ISOTROPIC, "uniform")
"""Standard normal; uniform on the sphere of radius √d; multivariate Student, scaled; uniform on
[−½, ½]^d, scaled by √12, which is not isotropic."""


def draw(
    distribution: str, generator: np.random.Generator, samples: int, inputs: int
) -> np.ndarray:
    """(samples, inputs)."""
    if distribution == "uniform":
        return (generator.random((samples, inputs)) - 0.5) * np.sqrt(12)
    x = generator.standard_normal((samples, inputs))
    if distribution == "sphere":
        x *= np.sqrt(inputs) / np.linalg.norm(x, axis=-1, keepdims=True)
    if distribution == "student":
        x *= np.sqrt((FREEDOM - 2) / generator.chisquare(FREEDOM, (samples, 1)))
    return x


def gating(x: np.ndarray, e: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Σ 1(e·x > 0) σ(w·x) x over the samples of x (samples, inputs): (pair, inputs)."""
    active = np.maximum(x @ w.T, 0)
    active *= (x @ e.T) > 0
    return active.T @ x


def plane_moment(distribution: str, inputs: int) -> float:
    """E r² of the projection onto a plane, from the density of r by Gauss–Legendre quadrature.

    gaussian: r e^(−r²/2), with v = e^(−r²/2). sphere: r(1 − r²/d)^((d−4)/2), with v = 1 − r²/d.
    student: r(1 + r²/(ν − 2))^(−(ν+2)/2), with v = 1/(1 + r²/(ν − 2)).
    """
    nodes, weights = np.polynomial.legendre.leggauss(200)
    # v = s⁸ takes the singularities at v = 0 away
    s, weights = (nodes + 1) / 2, weights / 2
    v, weights = s**8, weights * 8 * s**7
    square, density = {
        "gaussian": lambda: (-2 * np.log(v), np.ones_like(v)),
        "sphere": lambda: (inputs * (1 - v), v ** ((inputs - 4) / 2)),
        "student": lambda: ((FREEDOM - 2) * (1 / v - 1), v ** (FREEDOM / 2 - 1)),
    }[distribution]()
    return float((weights * square * density).sum() / (weights * density).sum())


def mass_and_asymmetry(angle: np.ndarray, moment: float) -> tuple[np.ndarray, np.ndarray]:
    """A(θ) and B(θ) of one sample, for 0 < θ < π and E r² = moment, by quadrature over ψ."""
    nodes, weights = np.polynomial.legendre.leggauss(40)
    open_for = np.pi - angle[..., None]
    turn = np.pi / 2 - open_for * (1 - nodes) / 2
    value = moment / (2 * np.pi) * weights * open_for / 2 * np.cos(turn - angle[..., None])
    along, across = (value * np.cos(turn)).sum(-1), (value * np.sin(turn)).sum(-1)
    return across / np.sin(angle), along - across / np.tan(angle)


def square_gating(e: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E F(e, w) of one sample for inputs uniform on the square [−√3, √3]² and unit vectors at
    these angles, |e − w| < π; (…, 2).

    In polar coordinates it is 1/12 ∫ cos(ψ − w) (cos ψ, sin ψ) R(ψ)⁴/4 dψ over the ψ at which both
    gates are open, with R = √3/max(|cos ψ|, |sin ψ|), by Gauss–Legendre quadrature between the
    square's corners.
    """
    nodes, weights = np.polynomial.legendre.leggauss(20)
    low, high = np.maximum(e, w) - np.pi / 2, np.minimum(e, w) + np.pi / 2
    total = 0.0
    first = int(np.floor(low.min() / (np.pi / 2))) - 1
    last = int(np.ceil(high.max() / (np.pi / 2))) + 1
    for side in range(first, last + 1):
        start, end = (
            np.clip(angle, (side - 0.5) * np.pi / 2, (side + 0.5) * np.pi / 2)
            for angle in (low, high)
        )
        half = np.maximum(end - start, 0)[..., None] / 2
        turn = start[..., None] + half * (nodes + 1)
        reach = np.sqrt(3) / np.maximum(np.abs(np.cos(turn)), np.abs(np.sin(turn)))
        value = weights * half * np.cos(turn - w[..., None]) * reach**4 / 48
        total = total + np.stack([(value * f(turn)).sum(axis=-1) for f in (np.cos, np.sin)], -1)
    return total
