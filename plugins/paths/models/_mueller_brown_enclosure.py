"""The surface of Müller and Brown over boxes, in ball arithmetic."""

from __future__ import annotations

from typing import NamedTuple

from flint import arb, arb_mat

from nnflow import Enclosure


class Term(NamedTuple):
    """A exp(aX² + bXY + cY²), X = x − x₀, Y = y − y₀, exact."""

    height: arb
    a: arb
    b: arb
    c: arb
    x: arb
    y: arb


class MuellerBrownEnclosure(Enclosure):
    """Its formulas as they are, with balls for numbers; the decimals of the constants as float64
    has them, as in the model. terms: (A, a, b, c, x₀, y₀) of each, the last one the only one whose
    form is positive definite."""

    def __init__(self, terms) -> None:
        self.terms = [Term(*map(arb, term)) for term in terms]

    def loss(self, box):
        return sum((value for value, *_ in self._parts(box)), arb(0))

    def gradient(self, box):
        parts = self._parts(box)
        return arb_mat(
            [[sum((v * p for v, p, _, _ in parts), arb(0))],
             [sum((v * q for v, _, q, _ in parts), arb(0))]]
        )  # fmt: skip

    def hessian(self, box):
        parts = self._parts(box)
        first = sum((v * (p * p + 2 * term.a) for v, p, _, term in parts), arb(0))
        mixed = sum((v * (p * q + term.b) for v, p, q, term in parts), arb(0))
        second = sum((v * (q * q + 2 * term.c) for v, _, q, term in parts), arb(0))
        return arb_mat([[first, mixed], [mixed, second]])

    def none_beyond(self, radius):
        """w·∇L > 0 for all |w| = ρ ≥ radius. With W = w − c, R = |W| ≥ ρ − |c|, M the matrix of its
        form and λ ≤ Λ the moduli of M's eigenvalues, a term that falls gives at most
        2|A|ΛRρ exp(−λR²) in modulus. This falls with R where 2λR² > 1; at R = ρ − |c| it falls with
        ρ where 1/R + 1/ρ < 2λR, which implies the former. The last term gives
        A exp(q)(2q + 2c·MW) ≥ 2A exp(λR²)R(λR − |Mc|), as q = W·MW ≥ λR², which rises with R where
        λR > |Mc|. So ρ = radius alone decides."""
        rho = arb(radius)
        falling = arb(0)
        for term in self.terms[:-1]:
            low, high, away, _ = _form(term)
            near = rho - away
            if not (near > 0 and 2 * low * near > 1 / near + 1 / rho):
                return False
            falling += 2 * abs(term.height) * high * near * rho * (-low * near * near).exp()
        last = self.terms[-1]
        low, _, away, pull = _form(last)
        near = rho - away
        if not low * near > pull:
            return False
        rising = last.height * (low * near * near).exp()
        return bool(rising * 2 * near * (low * near - pull) > falling)

    def _parts(self, box):
        """Value, the two derivatives of the exponent, and the term."""
        x, y = box.entries()
        parts = []
        for term in self.terms:
            u, v = x - term.x, y - term.y
            # as a sum of two squares, which never count with the wrong sign
            part = term.b / (2 * term.a)
            rest = term.c - term.b * part / 2
            exponent = term.a * _square(u + part * v) + rest * _square(v)
            slopes = 2 * term.a * u + term.b * v, term.b * u + 2 * term.c * v
            parts.append((term.height * exponent.exp(), *slopes, term))
        return parts


def _square(x: arb) -> arb:
    """x², of a ball around 0 no negative numbers."""
    low, high = arb(x.abs_lower()), arb(x.abs_upper())
    return (low * low).union(high * high) if x.rad() > 0 else x * x


def _form(term: Term) -> tuple[arb, arb, arb, arb]:
    """λ, Λ, |c| and |Mc|."""
    spread = ((term.a - term.c) * (term.a - term.c) + term.b * term.b).sqrt()
    middle = abs(term.a + term.c)
    away = (term.x * term.x + term.y * term.y).sqrt()
    pull = term.a * term.x + term.b * term.y / 2, term.b * term.x / 2 + term.c * term.y
    size = (pull[0] * pull[0] + pull[1] * pull[1]).sqrt()
    return (middle - spread) / 2, (middle + spread) / 2, away, size
