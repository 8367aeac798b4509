"""The ReLU teacher-student loss on networks that a permutation group fixes, in balls."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from flint import arb, arb_mat, fmpq

from nnflow import Block, Enclosure

from ..._kernel import kernel
from ._isotypic import Isotypic, Refined, Vector
from ._orbit_loss import OrbitLoss
from ._orbits import Orbits

Balls = list[arb]


class OrbitEnclosure(Enclosure):
    """Enclosures of F for W fixed by S_{n₁} × S_{n₂} × …, in u with x_o = x_o⁰ + u_o/√|o|.

    The same features, terms and kernel as in floats (`OrbitLoss`), with sizes as exact integers
    and x⁰ as exact fractions: the cost does not depend on the sizes. `gradient` and `hessian`
    are those of F in u, an orthonormal coordinate system of the fixed subspace, so that they
    are parts of the whole network's; `blocks` are the isotypic parts of its whole Hessian.
    """

    def __init__(self, orbits: Orbits, start: list[Fraction]) -> None:
        self.loss_of = OrbitLoss(orbits)
        self.start = [_ball(value) for value in start]
        self.refined = Refined(orbits)

    def smooth(self, box: arb_mat) -> bool:
        """F is C² where no student vanishes; enclosures are finite only where no two
        neurons may be parallel, either."""
        features = _features(self.loss_of, self._entries(box))
        return all(norm > 0 for norm in features[: self.loss_of.unit])

    def loss(self, box: arb_mat) -> arb:
        """The value at the middle and the mean value theorem: F itself on the box is a small
        difference of sums that grow with k, and so does the radius of its ball."""
        middle = box.mid()
        change = (self.gradient(box).transpose() * (box - middle))[0, 0]
        return self._value(self._entries(middle)) + change

    def gradient(self, box: arb_mat) -> arb_mat:
        x = self._entries(box)
        slope, _ = _derivatives(self.loss_of, x)
        gradient = _jacobian(self.loss_of, x).transpose() * slope
        roots = _roots(self.loss_of.orbits)
        return arb_mat([[gradient[o, 0] / root] for o, root in enumerate(roots)])

    def hessian(self, box: arb_mat) -> arb_mat:
        return _hessian(self.loss_of, self._entries(box))

    def blocks(self, box: arb_mat) -> list[Block]:
        x = self._entries(box)
        loss = OrbitLoss(self.refined.orbits)
        hessian = _hessian(loss, [x[orbit] for orbit in self.refined.coarse()])
        return [_block(part, hessian, self.refined.orbits) for part in self.refined.isotypic]

    def _value(self, x: Balls) -> arb:
        k, pi = sum(self.loss_of.orbits.sizes), arb.pi()
        y = _features(self.loss_of, x)
        total = k * (pi + k - 1) / (4 * pi)
        for size, norm in zip(self.loss_of.orbits.sizes, y, strict=False):
            total += size * norm / 4
        arguments = _arguments(self.loss_of, x, y)
        for (factor, *_), some in zip(self.loss_of.terms, arguments, strict=True):
            total += factor * kernel(*some, pi).value
        return total

    def _entries(self, box: arb_mat) -> Balls:
        roots = _roots(self.loss_of.orbits)
        pairs = enumerate(zip(self.start, roots, strict=True))
        return [x + box[o, 0] / root for o, (x, root) in pairs]


def _ball(value: Fraction) -> arb:
    return arb(fmpq(value.numerator, value.denominator))


def _roots(orbits: Orbits) -> Balls:
    """√|o|."""
    return [arb(count).sqrt() for count in orbits.counts]


def _form(products: list[tuple[int, int, int]], x: Balls) -> arb:
    return sum((c * (x[o] ** 2 if o == p else x[o] * x[p]) for c, o, p in products), arb(0))


def _features(loss: OrbitLoss, x: Balls) -> Balls:
    forms = [_form(products, x) for products in loss.forms]
    return [*forms[: loss.unit], arb(1), *forms[loss.unit :], *x]


def _arguments(loss: OrbitLoss, x: Balls, y: Balls) -> Iterator[tuple[arb, arb, arb, arb]]:
    """N, M, q and D² of each term."""
    for term, (_, *features) in enumerate(loss.terms):
        n, m, q = (y[feature] for feature in features)
        own = loss.own.get(term)
        yield n, m, q, n * m - q**2 if own is None else _form(loss.rests[own], x)


def _jacobian(loss: OrbitLoss, x: Balls) -> arb_mat:
    """J_s = Q_s x, (feature, orbit)."""
    jacobian = arb_mat(loss.features, len(x))
    for form, products in enumerate(loss.forms):
        row = loss.feature_of_form(form)
        for factor, o, p in products:
            jacobian[row, o] += factor * x[p]
            jacobian[row, p] += factor * x[o]
    for o in range(len(x)):
        jacobian[loss.linear + o, o] = 1
    return jacobian


def _derivatives(loss: OrbitLoss, x: Balls) -> tuple[arb_mat, arb_mat]:
    """Ψ′ (feature, 1) and Ψ″ (feature, feature)."""
    pi = arb.pi()
    y = _features(loss, x)
    slope, curvature = arb_mat(len(y), 1), arb_mat(len(y), len(y))
    for block, size in enumerate(loss.orbits.sizes):
        slope[block, 0] = arb(size) / 4
    for (factor, *features), arguments in zip(loss.terms, _arguments(loss, x, y), strict=True):
        derivatives = kernel(*arguments, pi)
        for feature, part in zip(features, derivatives.first, strict=True):
            slope[feature, 0] += factor * part
        for (i, j), part in derivatives.second.items():
            for a, b in {(i, j), (j, i)}:
                curvature[features[a], features[b]] += factor * part
    return slope, curvature


def _hessian(loss: OrbitLoss, x: Balls) -> arb_mat:
    """∂²F/∂u_o∂u_p, (orbit, orbit)."""
    slope, curvature = _derivatives(loss, x)
    jacobian = _jacobian(loss, x)
    hessian = jacobian.transpose() * curvature * jacobian
    for form, products in enumerate(loss.forms):
        weight = slope[loss.feature_of_form(form), 0]
        for factor, o, p in products:
            hessian[o, p] += factor * weight
            hessian[p, o] += factor * weight
    roots = _roots(loss.orbits)
    size = len(roots)
    return arb_mat(
        [[hessian[o, p] / (roots[o] * roots[p]) for p in range(size)] for o in range(size)]
    )


def _block(part: Isotypic, hessian: arb_mat, orbits: Orbits) -> Block:
    """XᵀHX with the unit vectors X of one isotypic part, symmetric entry by entry."""
    basis = arb_mat([_unit(vector, orbits) for vector in part.vectors])
    product = basis * hessian * basis.transpose()
    size = len(part.vectors)
    rows = [[product[max(i, j), min(i, j)] for j in range(size)] for i in range(size)]
    return Block(part.name, part.multiplicity, arb_mat(rows))


def _unit(vector: Vector, orbits: Orbits) -> Balls:
    """A matrix given by its values on the orbits, of norm 1, in orthonormal coordinates."""
    square = sum(count * value**2 for count, value in zip(orbits.counts, vector, strict=True))
    norm = _ball(square).sqrt()
    roots = _roots(orbits)
    return [_ball(value) * root / norm for value, root in zip(vector, roots, strict=True)]
