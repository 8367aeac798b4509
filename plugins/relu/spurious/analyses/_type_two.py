"""The family of type II at all widths: one curve of critical points over s = 1/√k.

W = [(a−b)I + b11ᵀ, c1; d1ᵀ, e] has k − 1 neurons along their teachers and one turned against its
own (Arjevani & Field 2019, arXiv:1912.11939). With κ = s² = 1/k,

    a = 1 + κ²α,  b = κ²β,  c = κ(2 + κγ),  d = κδ,  e = −1 + κε,
    P = Σ‖wᵢ‖ − k = κ²p,  Σᵢ wᵢ₁ − 1 = a + (k−2)b + d − 1 = κ²q.

P and the column sum are small differences of large numbers, and count for much in F; so p and q are
unknowns of their own, with the equations that define them. In (α, β, γ, δ, ε, p, q) the seven
equations, each divided by the power of κ that it is of, are analytic in s at 0: nothing here is
divided by s. Their zero there is α = 8/π, β = −4/π, δ = 4/π, …, and kF = ½ − 2/π².

All follows from F as a sum of parts that are small each,

    4πF = P² + ½π‖Σwᵢ − Σvⱼ‖² + (½π−1)Σ(‖wᵢ‖−1)² + 2Σℓᵢ + Σ_{i≠j}K(wᵢ, wⱼ) − 2Σ_{i≠j}K(wᵢ, vⱼ),

K(u, v) = ‖u‖‖v‖r(cos), r(c) = c·arcsin c + √(1−c²) − 1, and ℓ = ½π(‖w‖ − w·v) + θ w·v − D with
D = ‖w‖ sin θ for a neuron and its own teacher (`OrbitLoss.value`). Numbers may be balls, or duals.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flint import arb

from ._duals import asin_ratio, atan_rest

UNKNOWNS = ("alpha", "beta", "gamma", "delta", "epsilon", "p", "q")
AT_ZERO = (2.5465, -1.2732, -4.5465, 1.2732, 5.357, -0.4627, 0.1264)
"""The zero at s = 0, near enough for Newton's method."""


class Pair(NamedTuple):
    """What K of two neurons needs, of whose cosine κᵐc; each divided by its power of κ."""

    angle: Any
    """arcsin(cos)/κᵐ."""
    lost: Any
    """(1 − sin)/κ²ᵐ."""
    sine: Any
    bend: Any
    """r(cos)/κ²ᵐ."""


def _pair(c: Any, power: Any) -> Pair:
    square = c * c * power * power
    sine = (1 - square).sqrt()
    ratio = asin_ratio(square)
    return Pair(c * ratio, c * c / (1 + sine), sine, c * c * (ratio - 1 / (1 + sine)))


class Point:
    """All numbers of the family at one s, or on an interval of s.

    unknowns: as in UNKNOWNS. Norms are ρ₁ = 1 + κ²r₁ and ρ₂ = 1 + κr₂ (the turned neuron's);
    products wᵢ·wⱼ = κ²Q₁₁ and κQ₁₂ with the turned one; D = κτ and s·across at the own teachers.
    """

    def __init__(self, unknowns: list, s: Any) -> None:
        alpha, beta, gamma, delta, epsilon, self.p, self.q = unknowns
        self.alpha, self.beta, self.delta, self.s = alpha, beta, delta, s
        k = self.kappa = s * s
        self.k1, self.k2, self.k3 = 1 - k, 1 - 2 * k, 1 - 3 * k
        self.pi = arb.pi()
        self.a, self.c, self.e = 1 + k * k * alpha, 2 + k * gamma, -1 + k * epsilon
        self.column = gamma + epsilon - 2 - k * gamma
        """(Σᵢ wᵢ − Σⱼ vⱼ)/κ in the turned neuron's input."""
        self.square = self.c * self.c + k * self.k2 * beta * beta
        self.tau = self.square.sqrt()
        self.rho1 = (self.a * self.a + k * k * self.square).sqrt()
        self.r1 = (2 * alpha + k * k * alpha * alpha + self.square) / (1 + self.rho1)
        self.square2 = self.k1 * delta * delta
        self.across = delta * self.k1.sqrt()
        grown = self.square2 - 2 * epsilon + k * epsilon * epsilon
        self.rho2 = (1 + k * grown).sqrt()
        self.r2 = grown / (1 + self.rho2)
        self.q11 = 2 * self.a * beta + k * self.k3 * beta * beta + self.c * self.c
        self.q12 = self.a * delta + k * self.k2 * beta * delta + self.c * self.e
        self.l11, self.l12 = self.rho1 * self.rho1, self.rho1 * self.rho2
        self.students = _pair(self.q11 / self.l11, k * k)
        self.turned = _pair(self.q12 / self.l12, k)
        self.teachers = _pair(beta / self.rho1, k * k)
        self.turned_teacher = _pair(self.c / self.rho1, k)
        self.turned_to_teachers = _pair(delta / self.rho2, k)
        self.x1, self.x2 = self.tau / self.a, self.across / -self.e
        self.rest1 = atan_rest(k * k * self.x1 * self.x1)
        self.rest2 = atan_rest(k * self.x2 * self.x2)
        # ∂ℓ/∂D² of both kinds of neurons
        self.own1 = self.pi / (4 * self.rho1) - k * self.tau / (2 * self.rho1 * self.rho1)
        self.own2 = self.pi / (4 * self.rho2) - s * self.across / (2 * self.rho2 * self.rho2)

    def valid(self) -> bool:
        """Are the formulas those of F there: the angles on the sides that they are taken for?"""
        return self.a > 0 and self.e < 0 and self.delta > 0 and self.square > 0


def equations(o: Point) -> list:
    """4π∂F/∂(α, …, ε), divided by κ³, κ², κ², κ, κ², and what defines p and q, each over κ."""
    k, k1, k2, k3, pi, s = o.kappa, o.k1, o.k2, o.k3, o.pi, o.s
    a, c, e, beta, delta, p, q = o.a, o.c, o.e, o.beta, o.delta, o.p, o.q
    x = o.x2
    # ∂ℓ/∂(w·v) at fixed D, over κ² and κ
    along1 = k * (o.tau * o.square / (a * o.l11) - o.x1 * o.x1 * o.x1 * o.rest1)
    along1 = along1 - pi / 2 * o.square / (o.rho1 * (o.rho1 + a))
    along2 = s * x * x * x * (o.rest2 - 1 / (1 + k * x * x))
    along2 = along2 + pi / 2 * o.square2 / (o.rho2 * (o.rho2 - e))
    # what stands beside dr₁, over κ³, and beside dr₂, over κ²
    norm1 = 2 * k1 * p + (pi - 2) * k1 * o.r1 - 2 * k1 * o.turned.lost * o.rho2
    norm1 = norm1 + 2 * k1 * k2 * k * (o.teachers.lost - o.students.lost * o.rho1)
    norm1 = norm1 + 2 * k1 * o.turned_teacher.lost
    norm2 = 2 * k * p + (pi - 2) * o.r2 - 2 * k1 * o.turned.lost * o.rho1
    norm2 = norm2 + 2 * k1 * o.turned_to_teachers.lost
    by11, by12 = o.students.angle, o.turned.angle
    return [
        norm1 * a / o.rho1 + pi * k1 * q + 2 * k1 * along1
        + 2 * k * k1 * k2 * by11 * beta + 2 * k1 * by12 * delta,
        norm1 * k * k * k2 * beta / o.rho1 + pi * k1 * k2 * q + 4 * k1 * k2 * o.own1 * beta
        + 2 * k1 * k2 * (by11 * (a + k * k3 * beta) + by12 * delta - o.teachers.angle),
        norm1 * k * k * c / o.rho1 + pi * k1 * o.column + 4 * k1 * o.own1 * c
        + 2 * k1 * (k * k2 * by11 * c + by12 * e - o.turned_teacher.angle),
        norm2 * k * k1 * delta / o.rho2 + pi * k * k1 * q + 4 * k1 * o.own2 * delta
        + 2 * k1 * (by12 * (a + k * k2 * beta) - o.turned_to_teachers.angle),
        norm2 * e / o.rho2 + pi * o.column + 2 * along2 + 2 * k1 * by12 * c,
        o.r1 + o.r2 - k * o.r1 - k * p,
        beta + delta + k * (o.alpha - 2 * beta) - k * q,
    ]  # fmt: skip


def scaled_loss(o: Point) -> Any:
    """kF, which tends to ½ − 2/π²."""
    k, k1, k2, pi, x = o.kappa, o.k1, o.k2, o.pi, o.x2
    total = k * k * k * o.p * o.p
    total = total + pi / 2 * (k1 * k * k * o.q * o.q + k * o.column * o.column)
    total = total + (pi / 2 - 1) * (k1 * k * k * o.r1 * o.r1 + k * o.r2 * o.r2)
    cube = o.x1 * o.x1 * o.x1
    total = total + 2 * k1 * (pi / 2 * o.square / (o.rho1 + o.a) - k * o.a * cube * o.rest1)
    total = total + pi * o.square2 / (o.rho2 - o.e) + 2 * o.s * o.e * x * x * x * o.rest2
    total = total + k * k1 * k2 * (o.l11 * o.students.bend - 2 * o.rho1 * o.teachers.bend)
    total = total + 2 * k1 * (o.l12 * o.turned.bend - o.rho1 * o.turned_teacher.bend)
    return (total - 2 * k1 * o.rho2 * o.turned_to_teachers.bend) / (4 * pi)
