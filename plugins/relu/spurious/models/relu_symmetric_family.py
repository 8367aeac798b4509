"""Two-layer ReLU networks that a large group of permutations fixes, at any width."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt, model_validator

import nnflow
from nnflow import Model, torch

from ._isotypic import Refined
from ._orbit_loss import OrbitLoss
from ._orbits import Orbits

LETTERS = {(0, 0, True): "a", (0, 0, False): "b", (0, 1, False): "c",
           (1, 0, False): "d", (1, 1, True): "e", (1, 1, False): "f"}  # fmt: skip


class ReluSymmetricFamily(Model):
    """k students of k orthonormal ReLU teachers, with weights fixed by S_{k−t} × S_t.

    The loss is that of `relu_teacher_student` with n = k, on the W that stay the same when
    k − t neurons and the inputs of the same numbers are permuted together, and the t others
    likewise:

        W = [ (a−b)I + b·11ᵀ    c·11ᵀ          ]
            [ d·11ᵀ             (e−f)I + f·11ᵀ ]

    Six numbers, five where one of the groups is a single neuron, two (e, f) for t = k. The first
    k − t neurons begin along their teachers, the t others turned against them. By the
    principle of symmetric criticality (Palais 1979) a critical point among these W is one
    among all W: ∇F(W) is fixed by the group as W is, so no part of it points elsewhere.
    Families (Arjevani & Field 2019, arXiv:1912.11939): t = 1 is type II, t = k − 1 type I,
    t = k type A.

    The weights are u_o = √|o|(x_o − x_o⁰), o the orbits of entries, x_o their values (a, b, …)
    and x⁰ a point near the family: zero is a start for Newton's method at any k. |o| entries
    share one number, so that lengths, gradient norms and Hessian eigenvalues are those of W
    inside the fixed subspace. A minimum there may be a saddle in full space: `blocks` gives the
    whole Hessian. Nothing grows with k but `matrix`.
    """

    k: Annotated[int, Field(ge=3)]
    """Teachers, students and inputs."""
    turned: PositiveInt = 1
    """Neurons t that are turned, 1 … k."""
    leaning: bool | None = None
    """The start: the others lean on the turned ones' inputs (c = 2/k), or they don't (c = 1/2k),
    and the turned ones are near type A among themselves; null: they lean where at most half are
    turned."""

    @model_validator(mode="after")
    def _no_more_than_all(self):
        if self.turned > self.k:
            raise ValueError(f"turned: {self.turned} of {self.k} neurons can't be turned")
        return self

    def shapes(self):
        return {"shift": (len(self._orbits.entries),)}

    def dimensions(self):
        return {"shift": ("orbit",)}

    def infimum(self):
        return 0.0

    def loss(self, weights, data):
        return self._loss.value(self.entries(weights))

    def gradient(self, weights, data):
        slopes = self._loss.gradient(self.entries(weights))
        return {"shift": slopes / self._roots(slopes)}

    def hessian(self, weights, data):
        hessian = self._loss.hessian(self.entries(weights))
        roots = self._roots(hessian)
        return hessian / (roots[:, None] * roots)

    def smooth(self, weights, data):
        """F is twice differentiable where no student vanishes."""
        return self.norms(weights).amin(1) > VANISHED

    def observables(self, weights, data):
        """The values a, b, … of the orbits."""
        return {"entries": self.entries(weights)}

    def enclosure(self):
        from ._orbit_balls import OrbitEnclosure  # python-flint is needed for proofs alone

        return OrbitEnclosure(self._orbits, self._start())

    # Beyond the interface: what analyses ask

    @property
    def letters(self) -> list[str]:
        """The names a, b, … of the orbits of entries, in their order."""
        second = len(self._orbits.sizes) == 1
        return [LETTERS[row + second, column + second, own]
                for row, column, own in self._orbits.entries]  # fmt: skip

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of each block: k − t and t, or k alone."""
        return self._orbits.sizes

    def entries(self, weights):
        """The values of the orbits of entries, (run, orbit)."""
        shift = weights["shift"]
        start = [float(value) for value in self._start()]
        start = torch.as_tensor(start, dtype=shift.dtype).to(shift.device)
        return start + shift / self._roots(shift)

    def matrix(self, weights):
        """W, (run, neuron, input): k² numbers a run."""
        values = self.entries(weights)
        matrix = values.new_empty(len(values), self.k, self.k)
        members = self._orbits.members()
        for o, (row, column, own) in enumerate(self._orbits.entries):
            if not own:
                rows, columns = members[row], members[column]
                part = matrix[:, rows.start : rows.stop, columns.start : columns.stop]
                part[:] = values[:, o, None, None]
        for o, (row, _, own) in enumerate(self._orbits.entries):
            if own:
                index = torch.tensor(list(members[row]))
                matrix[:, index, index] = values[:, o, None]
        return matrix

    def norms(self, weights):
        """‖w_i‖ of a neuron of each block, (run, block)."""
        values = self.entries(weights)
        squares = [
            sum(c * values[:, o] * values[:, p] for c, o, p in self._orbits.norm(block))
            for block in range(len(self.sizes))
        ]
        return torch.stack(squares, dim=1).sqrt()

    def blocks(self, weights):
        """[(name, multiplicity, (run, copy, copy))]: the symmetric matrices whose eigenvalues,
        with multiplicities, are all k² of the Hessian of F at W.

        The Hessian commutes with S_{k−t} × S_t, so that on the copies of one irreducible
        representation it is one small matrix (Schur; Arjevani & Field 2020,
        arXiv:2008.01805). There are at most eight, of size six at most, whatever k is.
        """
        refined, hessian = self._refined_hessian(weights)
        blocks = []
        for name, multiplicity, vectors in refined.isotypic:
            basis = _orthonormal(vectors, refined.orbits.roots, hessian)
            blocks.append((name, multiplicity, basis @ hessian @ basis.mT))
        return blocks

    def own_blocks(self, weights):
        """[(neurons, (run, part, part))]: H_ii of a neuron of each block, on the inputs' orbits
        under the permutations that fix the neuron and one more index of each block. It has
        every eigenvalue of H_ii = ∂²F/∂w_i².
        """
        refined, hessian = self._refined_hessian(weights)
        blocks = []
        for block, size in enumerate(self.sizes):
            first = refined.first(block)
            orbits = [o for o, entry in enumerate(refined.orbits.entries) if entry.row == first]
            blocks.append((size, hessian[:, orbits][:, :, orbits]))
        return blocks

    @property
    def _orbits(self) -> Orbits:
        return self._loss.orbits

    @property
    def _loss(self) -> OrbitLoss:
        return _loss_of(tuple(size for size in (self.k - self.turned, self.turned) if size))

    def _roots(self, like):
        """√|o|."""
        return torch.as_tensor(self._orbits.roots, dtype=like.dtype).to(like.device)

    def _start(self) -> list[Fraction]:
        """x⁰. Neurons along their teachers are these; turned ones are reflections of theirs by a
        plane. Leaning: −e_j + (2/k)1, by that with the normal 1, and the others have 2/k in the
        turned ones' inputs, so that Σwᵢ ≈ Σvⱼ. Not leaning: −e_j + 2/t on the t inputs of the
        turned ones, a network of type A beside one that is global. A neuron exactly along its
        teacher would have D = 0."""
        leaning = 2 * self.turned <= self.k if self.leaning is None else self.leaning
        part = Fraction(2, self.k if leaning else self.turned)
        c, d = (part, part) if leaning else (Fraction(1, 2 * self.k), 0)
        value = {"a": 1, "b": 0, "c": c, "d": d, "e": part - 1, "f": part}
        return [Fraction(value[letter]) for letter in self.letters]

    def _refined_hessian(self, weights):
        """The Hessian on the matrices that are constant on the refined orbits, in orthonormal
        coordinates, (run, orbit, orbit)."""
        refined = _refined(self._orbits.sizes)
        values = self.entries(weights)[:, refined.coarse()]
        hessian = _loss_of(refined.orbits.sizes).hessian(values)
        roots = torch.as_tensor(refined.orbits.roots, dtype=values.dtype).to(values.device)
        return refined, hessian / (roots[:, None] * roots)


VANISHED = 1e-6
"""Norm below which a student counts as zero, where F has a kink."""


@cache
def _loss_of(sizes: tuple[int, ...]) -> OrbitLoss:
    """The loss of one group: its features and terms are the same at every step."""
    return OrbitLoss(Orbits(sizes))


@cache
def _refined(sizes: tuple[int, ...]) -> Refined:
    return Refined(Orbits(sizes))


def _orthonormal(vectors, roots, like):
    """Unit vectors (copy, orbit) of matrices given by their values on the orbits."""
    values = np.array([[float(v) for v in vector] for vector in vectors])
    values *= roots
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return torch.as_tensor(values, dtype=like.dtype).to(like.device)


@nnflow.hookimpl
def nnflow_register(register):
    register("relu_symmetric_family", ReluSymmetricFamily)
