"""Deep linear networks whose layers are near the identity."""

from __future__ import annotations

import math
from functools import cache
from typing import Annotated

import numpy as np
from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

import nnflow
from nnflow import Model, Streams, torch

from ....general._orthogonal import rotation
from ..._chain import (
    as_tensor_like,
    for_each_run,
    in_numpy,
    in_torch,
    products,
    pulled_back,
    pulled_hessian,
)
from ..._lanes import NONE, Quadratic, lane_gradient, quadratic


class ResidualLinearNetwork(Model):
    """L(V) = c E‖y − (I + V_K)⋯(I + V_1)x‖²,  y = Rx + ξ,  E xxᵀ = Σ,  E ξξᵀ = s²I,

    which is c tr(ΔΣΔᵀ) + c s²d with Δ = (I + V_K)⋯(I + V_1) − R: a population loss over the
    square matrices `v` (layer, output, input). Hardt & Ma 2016 (arXiv:1611.04231) have c = 1;
    Bartlett, Helmbold & Long 2018 (arXiv:1802.06093) c = ½, Σ = I and s = 0, with first weights
    V = 0. The infimum is c s²d.

    The target is R = BO, with B symmetric with the given eigenvalues and O a rotation by one
    angle in each of ⌊d/2⌋ planes; both bases are random.
    """

    depth: PositiveInt = Field(examples=[3])
    """Layers K."""
    values: Annotated[tuple[float, ...], Field(min_length=1)] = Field(examples=[[2.0, 1.0, 0.5]])
    """Eigenvalues of B; as many as the width d."""
    rotation: Annotated[float, Field(ge=0, le=math.pi)] = 0.0
    """Angle of O in radians. R is symmetric for 0."""
    covariance: tuple[PositiveFloat, ...] = ()
    """Eigenvalues of Σ, whose basis is random too; empty: Σ = I."""
    noise: NonNegativeFloat = 0.0
    """Variance s² of each output's noise."""
    factor: PositiveFloat = 0.5
    """Factor c before the loss."""
    seed: NonNegativeInt = 0
    """Seed of the random bases."""

    @model_validator(mode="after")
    def _fitting(self):
        if len(self.covariance) not in (0, len(self.values)):
            raise ValueError(
                f"covariance: {len(self.covariance)} eigenvalues for a width of {len(self.values)}"
            )
        return self

    def shapes(self):
        return {"v": (self.depth, len(self.values), len(self.values))}

    def dimensions(self):
        return {"v": ("layer", "output", "input")}

    def infimum(self):
        return self.factor * self.noise * len(self.values)

    def target(self) -> np.ndarray:
        """R, (d, d)."""
        return _target(self)[0]

    def loss(self, weights, data):
        difference, weighted = self._differences(products(self._factors(weights["v"]))[-1])
        misfit = (difference * weighted).sum(dim=(1, 2))
        return self.factor * misfit + self.infimum()

    def gradient(self, weights, data):
        (v,) = in_numpy([weights["v"]])
        factors = self._factors(v)
        with np.errstate(all="ignore"):  # runs that diverge
            below = products(factors)
            _, weighted = self._differences(below[-1])
            slopes = in_torch(pulled_back(factors, below, 2 * self.factor * weighted))
        return {"v": torch.stack(slopes, dim=1)}

    def lane_gradient(self, data):
        return lane_gradient(_quadratic(self))

    def hessian(self, weights, data):
        factors = self._factors(weights["v"])
        below = products(factors)
        _, weighted = self._differences(below[-1])
        size = len(self.values)
        curvature = 2 * self.factor * np.kron(np.eye(size), _target(self)[1])
        curvature = for_each_run(curvature, weighted)
        return pulled_hessian(factors, below, 2 * self.factor * weighted, curvature)

    def observables(self, weights, data):
        """`largest_norm` max‖V_k‖₂; `strength` (run, mode), the entries on the diagonal of
        (I + V_K)⋯(I + V_1) between the singular vectors of R (its eigenvectors, where R is
        symmetric), which are `values` at a global minimum then."""
        whole = products(self._factors(weights["v"]))[-1]
        left, right = (torch.as_tensor(basis).to(whole) for basis in _target(self)[2:])
        return {
            "largest_norm": torch.linalg.matrix_norm(weights["v"], ord=2).amax(dim=1),
            "strength": torch.einsum("im,rij,jm->rm", left, whole, right),
        }

    def _factors(self, v):
        """I + V_k, each (run, d, d)."""
        shifted = v + as_tensor_like(np.eye(len(self.values)), v)
        return [shifted[:, k] for k in range(self.depth)]

    def _differences(self, product):
        """Δ and ΔΣ, (run, d, d)."""
        target, covariance = _target(self)[:2]
        difference = product - as_tensor_like(target, product)
        if not self.covariance:
            return difference, difference
        return difference, difference @ for_each_run(covariance, difference)


@cache
def _target(model: ResidualLinearNetwork) -> tuple[np.ndarray, ...]:
    """R and Σ, and the left and right vectors of R's modes as columns."""
    size = len(model.values)
    basis, planes, axes = (_rotation(model.seed, size, draw) for draw in range(3))
    turn = np.eye(size)
    cosine, sine = math.cos(model.rotation), math.sin(model.rotation)
    for first in range(0, size - 1, 2):
        turn[first : first + 2, first : first + 2] = [[cosine, sine], [-sine, cosine]]
    turned = planes @ turn @ planes.T
    target = basis * np.array(model.values) @ basis.T @ turned
    eigenvalues = np.array(model.covariance or [1.0] * size)
    return target, axes * eigenvalues @ axes.T, basis, turned.T @ basis


@cache
def _quadratic(model: ResidualLinearNetwork) -> Quadratic:
    """The loss as compiled code takes it."""
    target, covariance, *_ = _target(model)
    return quadratic(
        [len(target)] * (model.depth + 1),
        target,
        outward=covariance if model.covariance else NONE,
        factor=2 * model.factor,
        shift=1.0,
    )


def _rotation(seed: int, size: int, draw: int) -> np.ndarray:
    """A random rotation, (size, size)."""
    drawn = Streams(seed, "residual_linear_network", np.arange(1), "basis").normal(size**2, draw)
    return rotation(drawn.reshape(size, size))


@nnflow.hookimpl
def nnflow_register(register):
    register("residual_linear_network", ResidualLinearNetwork)
