"""The ReLU teacher-student loss on networks that a permutation group fixes."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np

from nnflow import torch

from ..._kernel import kernel
from ._orbits import Orbits


class OrbitLoss:
    """F(W) = ½E(Σσ(wᵢ·x) − Σσ(xⱼ))² in the numbers x_o of the orbits, n = k.

    F is a function Ψ of features y: for each block the squared norm of its neurons, 1 (the
    teachers'), w_i·w_j for each kind of pair, and the x_o themselves, which are the products
    with the teachers. Norms and products are quadratic forms y_s = ½xᵀQ_s x, so that

    ∇F = JᵀΨ′,  ∇²F = JᵀΨ″J + Σ_s Ψ′_s Q_s,  J_s = Q_s x,

    at a cost that depends on the number of orbits alone. Each term of Ψ is a number of pairs
    times the kernel f(N, M, q).
    """

    def __init__(self, orbits: Orbits) -> None:
        self.orbits = orbits
        pairs = list(orbits.pairs())
        blocks = len(orbits.sizes)
        self.unit = blocks
        """The feature that is 1."""
        self.forms = [orbits.norm(a) for a in range(blocks)]
        self.forms += [orbits.dot(a, b) for _, a, b in pairs]
        self.linear = blocks + 1 + len(pairs)
        """The first of the features x_o."""
        self.features = self.linear + len(orbits.entries)
        self.rests = [orbits.norm(a)[1:] for a in range(blocks)]
        """‖wᵢ‖² without what lies along the own teacher, of each block: D² of that pair, which a
        difference would lose at large k."""
        self.own = {
            len(pairs) + o: entry.row for o, entry in enumerate(orbits.entries) if entry.own
        }
        """{index of the term of a block's own teachers: block}."""
        # (coefficient, feature N, feature M, feature q)
        self.terms = [(count, a, b, self.unit + 1 + i) for i, (count, a, b) in enumerate(pairs)] + [
            (-count, entry.row, self.unit, self.linear + o)
            for o, (entry, count) in enumerate(zip(orbits.entries, orbits.counts, strict=True))
        ]

    def feature_of_form(self, form: int) -> int:
        """The feature that a quadratic form is."""
        return form + (form >= self.unit)

    def quadratic(self) -> list[list[list[int]]]:
        """Q_s of each form, as integers."""
        size = len(self.orbits.entries)
        matrices = []
        for form in self.forms:
            matrix = [[0] * size for _ in range(size)]
            for factor, o, p in form:
                matrix[o][p] += factor
                matrix[p][o] += factor
            matrices.append(matrix)
        return matrices

    # Batches of floats: x is (run, orbit)

    def value(self, x):
        """F, (run,), as a sum of parts that are each small at a small loss:

        F = (Σ‖wᵢ‖ − k)²/4π + ‖Σwᵢ − Σvⱼ‖²/8 + R/4π, where R is that of the kernel
        r(c) = c·arcsin c + √(1−c²) − 1 = c²/2 + … of the cosines: h = 1 + πc/2 + r. A neuron
        and its own teacher share (‖w‖−1)²(π/2−1) + 2‖w‖(r(1) − r(c)) of R.
        """
        y = self._features(x)
        norms = y[:, : self.unit].sqrt()
        sizes = self._tensor(self.orbits.sizes, x)
        surplus = ((norms - 1) * sizes).sum(1)
        blocks = range(len(self.orbits.sizes))
        totals = [sum(c * x[:, o] for c, o in self.orbits.column(a)) for a in blocks]
        columns = ((torch.stack(totals, dim=1) - 1).square() * sizes).sum(1)
        factor, n, m, q, square = self._terms(y, x)
        length, across = (n * m).sqrt(), square.sqrt()
        kernels = q * (q / across).atan() - q * q / (length + across)
        along = torch.where(q > 0, square / (length + q.abs()), length - q)
        losses = math.pi / 2 * along + q * torch.atan2(across, q) - across
        own = list(self.own)
        others = [term for term in range(len(factor)) if term not in self.own]
        remainder = (math.pi / 2 - 1) * ((norms - 1).square() * sizes).sum(1)
        remainder = remainder - 2 * (factor[own] * losses[:, own]).sum(1)
        remainder = remainder + 2 * (factor[others] * kernels[:, others]).sum(1)
        return (surplus.square() + remainder) / (4 * math.pi) + columns / 8

    def gradient(self, x):
        """∂F/∂x_o, (run, orbit)."""
        first, _ = self._derivatives(x, False)
        return torch.einsum("rs,rsd->rd", first, self._jacobian(x))

    def hessian(self, x):
        """∂²F/∂x_o∂x_p, (run, orbit, orbit)."""
        first, second = self._derivatives(x, True)
        jacobian = self._jacobian(x)
        forms = first[:, [self.feature_of_form(form) for form in range(len(self.forms))]]
        curved = torch.einsum("rs,sdf->rdf", forms, self._matrices(x))
        return jacobian.mT @ second @ jacobian + curved

    @cached_property
    def _quadratic(self):
        return np.array(self.quadratic(), dtype=np.float64)

    @cached_property
    def _columns(self):
        factor, *features = zip(*self.terms, strict=True)
        return np.array(factor, dtype=np.float64), [list(feature) for feature in features]

    @staticmethod
    def _tensor(values, like):
        return torch.as_tensor(values, dtype=like.dtype).to(like.device)

    def _matrices(self, x):
        return self._tensor(self._quadratic, x)

    def _slopes(self, x):
        """Q_s x, (run, form, orbit)."""
        return torch.einsum("sdf,rf->rsd", self._matrices(x), x)

    def _features(self, x):
        forms = (self._slopes(x) * x[:, None]).sum(2) / 2
        one = torch.ones_like(forms[:, :1])
        return torch.cat([forms[:, : self.unit], one, forms[:, self.unit :], x], dim=1)

    def _jacobian(self, x):
        slopes = self._slopes(x)
        zero = torch.zeros_like(slopes[:, :1])
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device).expand(len(x), -1, -1)
        return torch.cat([slopes[:, : self.unit], zero, slopes[:, self.unit :], eye], dim=1)

    def _terms(self, y, x):
        """Coefficients (term,), and N, M, q and D² of all terms, each (run, term)."""
        factor, features = self._columns
        n, m, q = (y[:, feature] for feature in features)
        squares = list((n * m - q * q).unbind(1))
        for term, block in self.own.items():
            parts = [c * x[:, o] * x[:, p] for c, o, p in self.rests[block]]
            squares[term] = sum(parts, torch.zeros_like(x[:, 0]))
        return self._tensor(factor, x), n, m, q, torch.stack(squares, dim=1)

    def _derivatives(self, x, second: bool):
        """Ψ′ (run, feature), and Ψ″ (run, feature, feature) where asked for."""
        y = self._features(x)
        factor, *arguments = self._terms(y, x)
        _, features = self._columns
        derivatives = kernel(*arguments, math.pi)
        slope = torch.zeros_like(y)
        # ½f(w, w) = ‖w‖²/4 of every student
        slope[:, : self.unit] = self._tensor(self.orbits.sizes, x) / 4
        for feature, part in zip(features, derivatives.first, strict=True):
            index = torch.as_tensor(feature).to(x.device)
            slope = slope.index_add(1, index, factor * part)
        if not second:
            return slope, None
        curvature = torch.zeros(len(x), self.features**2, dtype=x.dtype, device=x.device)
        for (i, j), part in derivatives.second.items():
            for a, b in {(i, j), (j, i)}:
                flat = [
                    p * self.features + r for p, r in zip(features[a], features[b], strict=True)
                ]
                index = torch.as_tensor(flat).to(x.device)
                curvature = curvature.index_add(1, index, factor * part)
        return slope, curvature.unflatten(1, (self.features, self.features))
