"""Families of critical points at all widths: each one curve over s = 1/√k.

W is fixed by S_{k−t} × S_t (Arjevani & Field 2019, arXiv:1912.11939): k − t neurons along their
teachers, t turned against theirs. Its entries are a on the diagonal and b off it among the first,
c where those see the inputs of the turned ones, d the other way around, e and f among the turned.
With κ = s² = 1/k,

    t turned:          a = 1 + κ²α,  b = κ²β,  c = κ(2 + κγ),  d = κδ,  e = −1 + κε,  f = κφ
    type I (k − 1):    a = 1 + κα,  c = κγ,  d = κ²δ,  e = −1 + κ(2 + κε),  f = κ(2 + κφ)
    type A (all k):    e = −1 + κ(2 + κε),  f = κ(2 + κφ).

Small differences of large numbers count for much in F: the surplus of norms, ‖w‖ − 1 and
P = Σ‖wᵢ‖ − k, and those of the columns, Σᵢwᵢⱼ − 1. They are written out here so that what cancels
is left out. With t turned, P = κ²p and the first columns' surplus κ²q are unknowns of their own,
with the equations that define them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ._scaled import Powers, Scaled


@dataclass(frozen=True)
class Weights:
    """The numbers of a family at one s, or on an interval of s; blocks of neurons by index.

    sizes: (True, n) for k − n neurons, (False, n) for n. signs: of the own entries. own, off:
    entries on and off the diagonal of a block; cross: of a block at another one's inputs.
    ahead: sign·own − 1; columns: Σᵢwᵢⱼ − 1. Written out where they are small differences:
    grown, ‖w‖² − 1 of a block; products, wᵢ·wⱼ inside a block; total, Σ‖wᵢ‖ − k. defining: what
    vanishes where the unknowns are what they should be, over a power of s, from the ‖w‖ − 1.
    """

    sizes: tuple[tuple[bool, int], ...]
    signs: tuple[int, ...]
    own: tuple[Scaled, ...]
    off: tuple[Any, ...]
    cross: dict[tuple[int, int], Scaled]
    ahead: tuple[Scaled, ...]
    columns: tuple[Scaled, ...]
    grown: dict[int, Scaled] = field(default_factory=dict)
    products: dict[int, Scaled] = field(default_factory=dict)
    total: Scaled | None = None
    defining: Callable[[list[Scaled]], list] = lambda norms: []


@dataclass(frozen=True)
class Family:
    """turned: the number of turned neurons of a width k. from_k: least width at which the family is
    a spurious minimum. power: the loss is of the order of κ to this power. at_zero: the unknowns at
    s = 0, near enough for Newton's method. divided: the components of the gradient in the entries
    a, …, f, each with the power of s that it is divided by."""

    title: str
    turned: Callable[[int], int]
    from_k: int
    power: int
    unknowns: tuple[str, ...]
    at_zero: tuple[float, ...]
    divided: dict[str, int]
    weights: Callable[[list, Powers], Weights]


def _turned(t: int, from_k: int, at_zero: tuple[float, ...]) -> Family:
    """k − t neurons along their teachers, t turned."""

    def weights(unknowns: list, s: Powers) -> Weights:
        alpha, beta, gamma, delta, epsilon, *phi, p, q = (Scaled(s, y) for y in unknowns)
        one, k = Scaled(s, 1), Scaled(s, 1, 2)
        f = phi[0] if phi else 0
        ahead = (k * k * alpha, k * epsilon * -1)
        a, b, d = one + ahead[0], k * k * beta, k * delta
        lean = gamma + epsilon - k * gamma * t - 2 * t + f * (t - 1)

        def defining(norms):
            total = (one - k * t) / k * norms[0] + norms[1] * t - k * k * p
            column = ahead[0] + (one - k * (t + 1)) / k * b + d * t - k * k * q
            return [total.over(2), column.over(2)]

        return Weights(
            ((True, t), (False, t)), (1, -1), (a, ahead[1] * -1 - 1), (b, k * f),
            {(0, 1): k * (2 + k * gamma), (1, 0): d}, ahead, (k * k * q, k * lean),
            total=k * k * p, defining=defining,
        )  # fmt: skip

    names = ("alpha", "beta", "gamma", "delta", "epsilon", *(["phi"] if t > 1 else []), "p", "q")
    divided = {"a": 4, "b": 4, "c": 2, "d": 2, "e": 2} | ({"f": 2} if t > 1 else {})
    title = "type II, one turned" if t == 1 else f"{t} turned"
    return Family(title, lambda k: t, from_k, 1, names, at_zero, divided, weights)


def _type_one(unknowns: list, s: Powers) -> Weights:
    alpha, gamma, delta, epsilon, phi = (Scaled(s, y) for y in unknowns)
    one, k = Scaled(s, 1), Scaled(s, 1, 2)
    e, f, d = 2 + k * epsilon, 2 + k * phi, k * k * delta
    grown = epsilon * -2 + e * e + phi * 4 + k * phi * phi - f * f * 2 + k * k * delta * delta
    product = f * (phi - 2 + k * (epsilon * 2 - phi * 3)) + k * k * delta * delta
    lean = gamma - 2 + phi + k * (epsilon - phi * 2)
    return Weights(
        ((False, 1), (True, 1)), (1, -1), (one + k * alpha, k * e - 1), (0, k * f),
        {(0, 1): k * gamma, (1, 0): d}, (k * alpha, k * e * -1),
        (k * (alpha + delta - k * delta), k * lean),
        grown={1: k * k * grown}, products={1: k * k * product},
    )  # fmt: skip


def _type_a(unknowns: list, s: Powers) -> Weights:
    epsilon, phi = (Scaled(s, y) for y in unknowns)
    k = Scaled(s, 1, 2)
    e, f = 2 + k * epsilon, 2 + k * phi
    grown = epsilon * -2 + e * e + phi * 4 + k * phi * phi - f * f
    return Weights(
        ((True, 0),), (-1,), (k * e - 1,), (k * f,), {}, (k * e * -1,),
        (k * (phi + k * (epsilon - phi)),),
        grown={0: k * k * grown}, products={0: k * k * f * (phi + k * (epsilon - phi) * 2)},
    )  # fmt: skip


ALL_DIVIDED = {"a": 2, "c": 2, "d": 2, "e": 2, "f": 2}
FAMILIES = {
    "one_turned": _turned(1, 6, (2.5465, -1.2732, -4.5465, 1.2732, 5.357, -0.4627, 0.1264)),
    "two_turned": _turned(2, 8, (5.09, -2.546, -4.5, 1.2732, 5.357, 1.92, -0.92, 0.25)),
    "three_turned": _turned(3, 10, (7.64, -3.82, -4.5, 1.2732, 5.357, 1.92, -1.4, 0.38)),
    "four_turned": _turned(4, 11, (10.2, -5.1, -4.5, 1.2732, 5.357, 1.92, -1.85, 0.5)),
    "type_one": Family(
        "type I, all but one turned", lambda k: k - 1, 7, 0,
        ("alpha", "gamma", "delta", "epsilon", "phi"), (1.735, 0.726, -2.19, 1.1, 0.55),
        ALL_DIVIDED, _type_one,
    ),
    "type_a": Family(
        "type A, all turned", lambda k: k, 6, 0, ("epsilon", "phi"), (-1.45, -0.726),
        {"e": 2, "f": 2}, _type_a,
    ),
}  # fmt: skip
