"""The population loss of ReLU students and teachers over boxes of weights, in ball arithmetic."""

from __future__ import annotations

from flint import arb, arb_mat

from nnflow import Enclosure

from ._kernel import arc_cosine


class ReluEnclosure(Enclosure):
    """n students and k orthonormal teachers; formulas as in `_population`.

    Nothing is divided by an angle: the sine between two neurons is the norm of a tangent, and
    a tangent's direction, where the neurons may be parallel, is any vector with entries in
    [−1, 1]. It then counts for no more than the sine, so that boxes around parallel neurons
    are enclosed too. F is twice continuously differentiable where no student vanishes.
    """

    def __init__(self, n: int, k: int) -> None:
        self.n, self.k = n, k

    def smooth(self, box):
        return all(norm > 0 for norm, _ in self._polar(box))

    def loss(self, box):
        polar = self._polar(box)
        total = sum((norm * norm for norm, _ in polar), arb(0)) / 4
        for i, view in enumerate(self._views(polar)):
            norm = polar[i][0]
            for u, (cosine, sine, angle) in enumerate(
                zip(view.cosine, view.sine, view.angle, strict=True)
            ):
                kernel = norm * view.length[u] * arc_cosine(angle, cosine, sine, arb.pi())
                if u >= self.n:
                    total -= kernel / (2 * arb.pi())
                elif u != i:
                    total += kernel / (4 * arb.pi())
        return total + self.k * (arb.pi() + self.k - 1) / (4 * arb.pi())

    def gradient(self, box):
        polar = self._polar(box)
        gradient = []
        for i, view in enumerate(self._views(polar)):
            norm, unit = polar[i]
            weight = [
                arb(0) if u == i else length * (arb.pi() - angle) * self._sign(u)
                for u, (length, angle) in enumerate(zip(view.length, view.angle, strict=True))
            ]
            radial = sum(
                (view.length[u] * view.sine[u] * self._sign(u) for u in self._others(i)), arb(0)
            )
            pull = arb_mat(1, len(weight), weight) * view.units
            row = unit * (norm / 2 + radial / (2 * arb.pi())) + pull * (1 / (2 * arb.pi()))
            gradient += row.entries()
        return arb_mat(len(gradient), 1, gradient)

    def hessian(self, box):
        polar = self._polar(box)
        views = list(self._views(polar))
        n, k = self.n, self.k
        hessian = arb_mat(n * k, n * k)
        for i, view in enumerate(views):
            self._write(hessian, i, i, self._diagonal(i, polar, view))
            for j in range(i + 1, n):
                block = self._between(view, views[j], i, j, polar)
                self._write(hessian, i, j, block)
                self._write(hessian, j, i, block.transpose())
        return hessian

    def _write(self, hessian, i, j, block):
        for a in range(self.k):
            for b in range(self.k):
                hessian[i * self.k + a, j * self.k + b] = block[a, b]

    def _between(self, view, other, i, j, polar):
        """[(π−θ)I + sin θ (t̂_ji t̂_ijᵀ + w̄ⱼw̄ᵢᵀ)]/2π, with sin θ t̂_ij = t_ij."""
        half = 1 / (2 * arb.pi())
        left = arb_mat([other.direction[i], polar[j][1].entries()]).transpose()
        right = arb_mat([view.tangent[j], (polar[i][1] * view.sine[j]).entries()])
        block = left * (right * half)
        rest = half * (arb.pi() - view.angle[j])
        for a in range(self.k):
            block[a, a] += rest
        return block

    def _diagonal(self, i, polar, view):
        """½I + Σ_u c_u (I − w̄ᵢw̄ᵢᵀ + t̂_u t̂_uᵀ) with c_u = ±‖u‖ sin θ/(2π‖wᵢ‖)."""
        norm, unit = polar[i]
        scale = 1 / (2 * arb.pi() * norm)
        others = self._others(i)
        curvature = [self._sign(u) * view.length[u] * scale for u in others]
        # c t̂ t̂ᵀ = (c / sin θ) t t̂ᵀ, so that the sine stands in the tangent t
        directions = arb_mat([view.direction[u] for u in others])
        tangents = arb_mat(
            [[c * x for x in view.tangent[u]] for c, u in zip(curvature, others, strict=True)]
        )
        total = sum((c * view.sine[u] for c, u in zip(curvature, others, strict=True)), arb(0))
        block = tangents.transpose() * directions - unit.transpose() * (unit * total)
        for a in range(self.k):
            block[a, a] += total + arb(1) / 2
        return block

    def _others(self, i):
        return [u for u in range(self.n + self.k) if u != i]

    def _sign(self, u):
        return 1 if u < self.n else -1

    def _polar(self, box):
        """Norm and direction (1, k) of each student."""
        entries = box.entries()
        rows = [entries[i * self.k : (i + 1) * self.k] for i in range(self.n)]
        norms = [_norm(row) for row in rows]
        return [(norm, arb_mat([row]) / norm) for norm, row in zip(norms, rows, strict=True)]

    def _views(self, polar):
        """The students and teachers as each student sees them."""
        teachers = [[int(a == b) for b in range(self.k)] for a in range(self.k)]
        units = arb_mat([unit.entries() for _, unit in polar] + teachers)
        length = [norm for norm, _ in polar] + [arb(1)] * self.k
        for _, unit in polar:
            yield View(units, length, unit)


class View:
    """Length, angle and tangent of each neuron as seen from one direction w̄ (1, k):
    t = ū − cos θ w̄ of norm sin θ, and its direction t̂."""

    def __init__(self, units: arb_mat, length: list[arb], unit: arb_mat) -> None:
        self.units, self.length = units, length
        cosines = units * unit.transpose()
        self.cosine = cosines.entries()
        self.tangent = (units - cosines * unit).tolist()
        self.sine = [_norm(tangent) for tangent in self.tangent]
        self.angle = [_angle(s, c) for s, c in zip(self.sine, self.cosine, strict=True)]
        self.direction = [
            [x / s for x in tangent] if s > 0 else [arb(0, 1)] * len(tangent)
            for tangent, s in zip(self.tangent, self.sine, strict=True)
        ]


def _norm(vector: list[arb]) -> arb:
    square = sum((x * x for x in vector), arb(0))
    return square.sqrt() if square > 0 else arb(0).union(square.upper().sqrt())


def _angle(sine: arb, cosine: arb) -> arb:
    """θ in [0, π]; near 0 and π without a branch cut."""
    if cosine > 0:
        return arb.atan2(sine, cosine)
    return arb.pi() - arb.atan2(sine, -cosine)
