"""Deep linear networks."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

import nnflow
from nnflow import Model, torch

from ...general._orthogonal import orthogonal
from .._chain import (
    above,
    as_tensor_like,
    for_each_run,
    identity,
    in_numpy,
    in_torch,
    products,
    pulled_back,
)
from .._lanes import lane_gradient, quadratic
from .._reduction import Reduction, reduction

Matrix = list[list[float]]


class LinearNetwork(Model):
    """L(W) = ½‖Y − W_K ⋯ W₁X‖_F².

    Chitour, Liao & Couillet (arXiv:1811.03568), whose slides leave out the ½ that their flow
    and their critical values carry; K = H + 1 matrices. The weights are w1 … wK, each
    (outputs, inputs). With E = W_K ⋯ W₁X − Y, A_k = W_K ⋯ W_{k+1} and B_k = W_{k−1} ⋯ W₁,

    ∇_{W_k}L = A_kᵀ E Xᵀ B_kᵀ.
    """

    widths: Annotated[list[PositiveInt], Field(min_length=2)] = Field(examples=[[3, 4, 2]])
    """d₀, …, d_K: inputs, neurons of each hidden layer, outputs."""
    singular_values: list[NonNegativeFloat] | None = Field(None, examples=[[2.0, 1.0]])
    """Singular values of Y, of which there are min(d_K, m) with m samples; missing ones are 0.
    Either these or `target` must be given."""
    singular_vectors: NonNegativeInt | None = None
    """Seed of random singular vectors of Y; null: those along the axes, Y = (D 0)."""
    target: Matrix | None = None
    """Y itself, (d_K, m)."""
    inputs: Matrix | None = None
    """X, (d₀, m); null: the identity, m = d₀."""
    observed: list[Literal["strength", "squared_norm", "imbalance"]] = [
        "strength",
        "squared_norm",
        "imbalance",
    ]
    """What is recorded along trajectories; `imbalance` has Σd_j² numbers."""

    @model_validator(mode="after")
    def _consistent(self):
        if (self.singular_values is None) == (self.target is None):
            raise ValueError("target: give either this or 'singular_values'")
        if self.target is not None and self.singular_vectors is not None:
            raise ValueError("singular_vectors: these are known where 'target' is given")
        if self.x.ndim != 2 or len(self.x) != self.widths[0]:
            raise ValueError(f"inputs: expected {self.widths[0]} rows of equal length")
        shape = (self.widths[-1], self.x.shape[1])
        if self.target is not None:
            if any(len(row) != shape[1] for row in self.target) or len(self.target) != shape[0]:
                raise ValueError(f"target: expected {shape[0]} rows of {shape[1]} numbers")
        elif len(self.singular_values) > min(shape):
            raise ValueError(f"singular_values: Y of shape {shape} has at most {min(shape)}")
        return self

    # Y and X

    @cached_property
    def x(self) -> np.ndarray:
        """X, (d₀, m)."""
        if self.inputs is None:
            return np.eye(self.widths[0])
        if len({len(row) for row in self.inputs}) != 1:
            raise ValueError("inputs: expected rows of equal length")
        return np.asarray(self.inputs, dtype=np.float64)

    @cached_property
    def y(self) -> np.ndarray:
        """Y, (d_K, m)."""
        if self.target is not None:
            return np.asarray(self.target, dtype=np.float64)
        rows, columns = self.widths[-1], self.x.shape[1]
        middle = np.zeros((rows, columns))
        np.fill_diagonal(middle[:, : len(self.singular_values)], self.singular_values)
        if self.singular_vectors is None:
            return middle
        generator = np.random.default_rng(self.singular_vectors)
        left, right = (orthogonal(generator.normal(size=(size, size))) for size in (rows, columns))
        return left @ middle @ right.T

    @cached_property
    def modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Singular value decomposition (U, s, Vᵀ) of the best linear map Y X⁺, as numpy gives
        it: s falls."""
        best = self.y @ np.linalg.pinv(self.x)
        return np.linalg.svd(best, full_matrices=False)

    def reduction(self) -> Reduction:
        """How the weights of this network are mapped to those of the reduced one."""
        return reduction(self.x, self.y)

    def reduced(self) -> LinearNetwork:
        """The equivalent network with X = I and Y = (D 0); see `Reduction`."""
        values = self.reduction().singular_values.tolist()
        return LinearNetwork(widths=self.widths, singular_values=values)

    # The model

    @property
    def layers(self) -> range:
        """Numbers of the matrices, from 1."""
        return range(1, len(self.widths))

    def shapes(self):
        return {f"w{k}": (self.widths[k], self.widths[k - 1]) for k in self.layers}

    def dimensions(self):
        axes = ["input", *(f"hidden{k}" for k in self.layers[:-1]), "output"]
        return {f"w{k}": (axes[k], axes[k - 1]) for k in self.layers}

    def infimum(self):
        """What no map fits, ½‖Y − YX⁺X‖², and ½Σs² over the singular values s of YX⁺X beyond
        the smallest width (Eckart & Young 1936)."""
        fitted = self.y @ np.linalg.pinv(self.x) @ self.x
        missed = np.linalg.svd(fitted, compute_uv=False)[min(self.widths) :]
        return float(((self.y - fitted) ** 2).sum() + (missed**2).sum()) / 2

    def loss(self, weights, data):
        return self._residual(self._before(weights)[-1]).square().sum((1, 2)) / 2

    def outputs(self, weights, inputs):
        """W_K ⋯ W₁x, linear in inputs (sample, feature)."""
        values = inputs.expand(len(weights["w1"]), *inputs.shape)
        for weight in weights.values():
            values = values @ weight.mT
        return values

    def gradient(self, weights, data):
        """A_kᵀEXᵀ by the recursion from the last layer down, times B_kᵀ."""
        factors = in_numpy(weights.values())
        with np.errstate(all="ignore"):  # runs that diverge
            below = products(factors)
            slope = self._pull(self._residual(below[-1]))
            slopes = in_torch(pulled_back(factors, below, slope))
        return dict(zip(weights, slopes, strict=True))

    def lane_gradient(self, data):
        return lane_gradient(self._quadratic)

    @cached_property
    def _quadratic(self):
        if self.inputs is None:
            return quadratic(self.widths, self.y)
        return quadratic(self.widths, self.y, inward=self.x, outward=self.x.T)

    def hessian(self, weights, data):
        """Blocks over pairs k ≤ l of matrices, with G = EXᵀ, the entries (a, b) of W_k and
        (c, d) of W_l, and M = W_{l−1} ⋯ W_{k+1}:

        (A_kᵀA_l)_{ac} (B_kXXᵀB_lᵀ)_{bd} + [k < l] M_{da} (A_lᵀGB_kᵀ)_{cb}.
        """
        before, after = self._before(weights), self._after(weights)
        pull = self._pull(self._residual(before[-1]))
        seen = [self._times_x(each) for each in before[:-1]]
        rows = []
        for k in self.layers:
            between = torch.eye(self.widths[k], dtype=pull.dtype, device=pull.device)
            between = between.expand(len(pull), -1, -1)
            row = []
            for other in range(k, len(self.widths)):
                left, right = after[k].mT @ after[other], seen[k - 1] @ seen[other - 1].mT
                block = torch.einsum("rac,rbd->rabcd", left, right)
                if other > k:
                    outer = after[other].mT @ pull @ before[k - 1].mT
                    block = block + torch.einsum("rda,rcb->rabcd", between, outer)
                    between = weights[f"w{other}"] @ between
                row.append(block.flatten(3, 4).flatten(1, 2))
            rows.append(row)
        return _symmetric(rows)

    def hessian_vector(self, weights, vectors):
        """∇²L V for directions V named and shaped like the weights, each (run, *shape).

        The derivative of the gradient's recursions along V: about three times its work.
        """
        before = self._before(weights)
        # B_k along V, from B₁ = I
        turned = [None, vectors["w1"]]
        for k in self.layers[1:]:
            moved = torch.bmm(weights[f"w{k}"], turned[-1])
            turned.append(torch.baddbmm(moved, vectors[f"w{k}"], before[k - 1]))
        pulled = self._pull(self._residual(before[-1]))
        turned_pulled = self._pull(self._times_x(turned[-1]))
        found = {}
        for k in reversed(self.layers[1:]):
            weight, vector = weights[f"w{k}"], vectors[f"w{k}"]
            moved = torch.bmm(turned_pulled, before[k - 1].mT)
            found[f"w{k}"] = torch.baddbmm(moved, pulled, turned[k - 1].mT)
            turned_pulled = torch.baddbmm(torch.bmm(weight.mT, turned_pulled), vector.mT, pulled)
            pulled = torch.bmm(weight.mT, pulled)
        found["w1"] = turned_pulled
        return {name: found[name] for name in self.shapes()}

    def invariants(self, weights):
        """Sorted singular values of each matrix and the entries of the product: the same under
        orthogonal changes of basis in the hidden layers."""
        parts = [torch.linalg.svdvals(weights[f"w{k}"]) for k in self.layers]
        return torch.cat([*parts, self._before(weights)[-1].flatten(1)], dim=1)

    def observables(self, weights, data):
        """`imbalance` (run, number): the entries of W_{j+1}ᵀW_{j+1} − W_jW_jᵀ for j = 1 … K−1 in
        turn, which the gradient flow conserves; `strength` (run, mode): uᵢᵀ W_K⋯W₁ vᵢ along the
        singular vectors of YX⁺; `squared_norm` (run, layer): ‖W_k‖_F²."""
        known = {
            "strength": self._strength,
            "squared_norm": self._squared_norm,
            "imbalance": self._imbalance,
        }
        shown = [n for n in self.observed if n != "imbalance" or len(self.layers) > 1]
        return {name: known[name](weights) for name in shown}

    def _strength(self, weights):
        device = weights["w1"].device
        left, _, right = (torch.as_tensor(part).to(device) for part in self.modes)
        product = self._before(weights)[-1]
        return ((left.mT.expand(len(product), -1, -1) @ product) * right).sum(2)

    def _squared_norm(self, weights):
        return torch.stack([weights[f"w{k}"].square().sum((1, 2)) for k in self.layers], dim=1)

    def _imbalance(self, weights):
        pairs = [(weights[f"w{k}"], weights[f"w{k + 1}"]) for k in self.layers[:-1]]
        parts = [(upper.mT @ upper - lower @ lower.mT).flatten(1) for lower, upper in pairs]
        return torch.cat(parts, dim=1)

    # Products of matrices

    def _before(self, weights):
        """B₁ = I, …, B_{K+1} = W_K ⋯ W₁, each (run, d_{k−1}, d₀)."""
        return [identity(self.widths[0], weights["w1"]), *products(weights.values())]

    def _after(self, weights):
        """A_k = W_K ⋯ W_{k+1} by k, each (run, d_K, d_k)."""
        return dict(zip(self.layers, above(list(weights.values())), strict=True))

    def _times_x(self, product):
        """Its product with X."""
        if self.inputs is None:
            return product
        return product @ for_each_run(self.x, product)

    def _residual(self, product):
        """E, (run, d_K, m)."""
        return self._times_x(product) - as_tensor_like(self.y, product)

    def _pull(self, residual):
        """G = EXᵀ, (run, d_K, d₀)."""
        if self.inputs is None:
            return residual
        return residual @ for_each_run(self.x.T, residual)


def _symmetric(rows):
    """The whole matrix (run, weight, weight) from its blocks on and right of the diagonal."""
    count = len(rows)
    whole = [
        torch.cat([rows[j][k - j].mT if j < k else rows[k][j - k] for j in range(count)], dim=2)
        for k in range(count)
    ]
    return torch.cat(whole, dim=1)


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_network", LinearNetwork)
