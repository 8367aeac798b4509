"""A formula as a concave quadratic program."""

from __future__ import annotations

from functools import cached_property

from pydantic import Field, PositiveInt, model_validator

import nnflow
from nnflow import Model, torch

from .._formula import Formula, gradient, halfspaces, loss, simplified


class ThreeSat(Model):
    """L(x) = Σ (x_k − x_k²) on 0 ≤ x_k ≤ 1 with Σ x_i + Σ (1 − x_j) ≥ 1 for each clause, over its
    plain and negated variables: the minimum is 0 exactly where the formula can be satisfied
    (Yarotsky, "Optimization of neural networks", slide "NP-hardness"; cs.stackexchange.com
    17946).

    L is strictly concave, so that every local minimum is a vertex; at a vertex with fractions L is
    positive. Clauses may be of any length. At ½·1, which satisfies all inequalities of clauses of
    two literals or more, ∇L = 0: the maximum.
    """

    formula: Formula = Field(examples=[[[1, -2, 3], [-1, 2, 4]]])
    """The name of a DIMACS CNF file, from the folder where nnflow runs; or {variables, clauses,
    seed} of a random formula with three variables in each clause; or the clauses: whole numbers, k
    for a variable and −k for its negation."""
    variables: PositiveInt | None = None
    """Number of variables; null: the largest that occurs."""

    @model_validator(mode="after")
    def _clauses(self):
        if not self.formula:
            raise ValueError("formula: no clauses")
        if any(not clause or 0 in clause for clause in self.formula):
            raise ValueError("formula: a clause needs literals, which are not 0")
        if self.variables is not None and self.variables < self._largest:
            raise ValueError(f"variables: must be {self._largest} or more")
        return self

    @property
    def _largest(self) -> int:
        return max(abs(literal) for clause in self.formula for literal in clause)

    @property
    def count(self) -> int:
        """Number of variables."""
        return self.variables or self._largest

    def shapes(self):
        return {"x": (self.count,)}

    def dimensions(self):
        return {"x": ("variable",)}

    def constraints(self):
        return self._polytope

    @cached_property
    def _polytope(self):
        return halfspaces(simplified(self.formula), self.count)

    def loss(self, weights, data):
        return loss(weights["x"])

    def gradient(self, weights, data):
        return {"x": gradient(weights["x"])}

    def hessian(self, weights, data):
        x = weights["x"]
        eye = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        return (-2 * eye).repeat(len(x), 1, 1)

    def third_derivative_bound(self, weights, radius):
        return torch.zeros_like(radius)


@nnflow.hookimpl
def nnflow_register(register):
    register("three_sat", ThreeSat)
