"""Quadratic programs, whose critical points are known."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator

import nnflow
from nnflow import Ball, Box, Halfspaces, Model, Simplex, torch


class QuadraticProgram(Model):
    """L(w) = ½wᵀQw + c·w on a box, a ball, the simplex or a polyhedron; without any, everywhere.

    Its critical points are those of Karush, Kuhn & Tucker; a concave one (Q negative definite) has
    its local minima at vertices.
    """

    matrix: list[list[float]] = Field(examples=[[[1, 0], [0, -1]]])
    """Q, symmetric."""
    slope: list[float] = Field(examples=[[0, 0]])
    """c."""
    box: list[tuple[float, float]] | None = None
    """Bounds [lower, upper] of each weight, finite."""
    ball: PositiveFloat | None = None
    """Radius of a ball around 0."""
    simplex: bool = False
    """Non-negative weights with the sum 1."""
    rows: list[list[float]] | None = None
    """Rows a of constraints a·w ≤ offset."""
    offsets: list[float] | None = None
    """Their offsets."""
    equal: NonNegativeInt = 0
    """How many of the first rows hold with equality."""

    @model_validator(mode="after")
    def _fits(self):
        matrix, size = np.array(self.matrix, dtype=object), len(self.slope)
        if matrix.shape != (size, size) or not (matrix == matrix.T).all():
            raise ValueError("matrix: must be square, symmetric and of the size of slope")
        given = [self.box is not None, self.ball is not None, self.simplex, self.rows is not None]
        if sum(given) > 1:
            raise ValueError("box, ball, simplex, rows: only one of them may be given")
        if self.box is not None and len(self.box) != size:
            raise ValueError("box: needs a pair for each weight")
        if (self.rows is None) != (self.offsets is None):
            raise ValueError("rows and offsets: needed together")
        if any(len(row) != size for row in self.rows or ()):
            raise ValueError("rows: must have a number for each weight")
        self.constraints()
        return self

    def shapes(self):
        return {"w": (len(self.slope),)}

    def dimensions(self):
        return {"w": ("coordinate",)}

    def constraints(self):
        if self.box is not None:
            return Box(*map(tuple, zip(*self.box, strict=True)))
        if self.ball is not None:
            return Ball((0.0,) * len(self.slope), self.ball)
        if self.simplex:
            return Simplex(len(self.slope))
        return self._polyhedron

    @cached_property
    def _polyhedron(self):
        if self.rows is None:
            return None
        return Halfspaces(tuple(map(tuple, self.rows)), tuple(self.offsets), self.equal)

    def loss(self, weights, data):
        matrix, slope = self._numbers(weights)
        w = weights["w"]
        return (w * ((w[:, None] @ matrix).squeeze(1) / 2 + slope)).sum(1)

    def gradient(self, weights, data):
        matrix, slope = self._numbers(weights)
        return {"w": (weights["w"][:, None] @ matrix).squeeze(1) + slope}

    def hessian(self, weights, data):
        matrix, _ = self._numbers(weights)
        return matrix.repeat(len(weights["w"]), 1, 1)

    def third_derivative_bound(self, weights, radius):
        return torch.zeros_like(radius)

    def _numbers(self, weights):
        like = weights["w"]
        return tuple(
            torch.tensor(part, dtype=like.dtype).to(like.device)
            for part in (self.matrix, self.slope)
        )


@nnflow.hookimpl
def nnflow_register(register):
    register("quadratic_program", QuadraticProgram)
