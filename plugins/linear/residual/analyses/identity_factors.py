"""How near the identity the layers of a residual linear network can be."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams, UserError

from ....general._orthogonal import rotation
from ._identity_factors import axis_and_angle, identity_factors, norm_limit, turned


class IdentityFactors(Analysis):
    """Hardt & Ma's factorization A = (I + V_K)⋯(I + V_1), with K·max‖V_k‖ against K.

    Random matrices of positive determinant (normal entries, a column turned where needed), and
    those of the study file, give `scaled_norm` K·max‖V_k‖₂ (matrix, factors) and its `limit`
    (matrix,), and columns that are the same in each configuration. Theorem 2.1 bounds max‖V_k‖ by
    2(√π + √(3γ))²/K for K ≥ 3γ, γ = max|log σ(A)|. A network's own target has such factors where
    its determinant is positive.

    Why det A > 0: where ‖V_k‖ < 1 all I + tV_k, 0 ≤ t ≤ 1, are invertible, so det(I + V_k) > 0. A
    product of negative determinant has a factor with ‖V_k‖ > 1, however many there are; I − tuuᵀ
    shows that no larger number will do. Random products of both kinds, `products` of them. The
    canonical form of O has in three dimensions one plane and one axis (Euler): `rotations`
    random rotations, half-turns among them, are written by axis and angle.
    """

    models = ("residual_linear_network",)
    columns = {
        "matrices": "factorized matrices",
        "reconstruction_error": "largest entry of product − A over max|A|",
        "limit_error": "largest |K max‖V‖ / limit − 1| at the largest K",
        "above_bound": "factorizations above the theorem's bound",
        "negative_inside": "random products with all ‖V_k‖ < 1 whose determinant is not positive",
        "negative_norm": "least max‖V_k‖ of random products of negative determinant",
        "euler_error": "largest error of a rotation of space written by its axis and angle",
        "factor_norm": "max‖V‖ of the factorization of the network's target into its depth",
        "scaled_factor_norm": "the same times the depth",
    }

    size: Annotated[int, Field(ge=2)] = 5
    """Rows of the random matrices."""
    count: PositiveInt = 20
    """Random matrices."""
    depths: tuple[PositiveInt, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512)
    """Numbers K of factors."""
    matrices: list[list[list[float]]] = []
    """Further matrices of the same size."""
    products: PositiveInt = 2000
    """Random products of factors I + V_k."""
    rotations: PositiveInt = 200
    """Random rotations of space."""

    def compute(self, results):
        owner = f"{results.study.file}: analyses: identity_factors"
        cases = [*self._random(results.study.settings.seed), *map(np.array, self.matrices)]
        rows = [[_measured(case, depth, owner) for depth in self.depths] for case in cases]
        norms, errors, bounds = np.moveaxis(np.array(rows), 2, 0)
        scaled = norms * np.array(self.depths)
        limits = np.array([norm_limit(case) for case in cases])
        table = nnflow.Table(results, self.columns)
        table.everywhere(
            matrices=len(cases),
            reconstruction_error=errors.max(),
            limit_error=np.abs(scaled[:, -1] / limits - 1).max(),
            above_bound=(norms > bounds).sum(),
            euler_error=_euler_error(results.study.settings.seed, self.rotations),
            **_determinants(results.study.settings.seed, self.products, self.size),
        )
        for configuration in results.configurations:
            table.row(configuration, **_own(configuration.settings.model, owner))
        variables = {
            "scaled_norm": (("matrix", "factors"), scaled, {"long_name": "K max‖V‖"}),
            "limit": ("matrix", limits, {"long_name": "its limit"}),
        }
        return table.dataset().assign(variables).assign_coords(factors=list(self.depths))

    def _random(self, seed: int) -> np.ndarray:
        """(count, size, size)."""
        streams = Streams(seed, "identity_factors", np.arange(self.count), "matrices")
        drawn = streams.normal(self.size**2).reshape(-1, self.size, self.size)
        drawn[:, :, 0] *= np.sign(np.linalg.det(drawn))[:, None]
        return drawn


def _measured(matrix: np.ndarray, depth: int, owner: str) -> tuple[float, float, float]:
    """Largest norm of a factor, relative error of their product, and the theorem's bound."""
    factors = identity_factors(matrix, depth, owner)
    product = np.eye(len(matrix))
    for factor in factors:
        product = product + factor @ product
    error = np.abs(product - matrix).max() / np.abs(matrix).max()
    spread = np.abs(np.log(np.linalg.svd(matrix, compute_uv=False))).max()
    bound = 2 * (np.sqrt(np.pi) + np.sqrt(3 * spread)) ** 2 / depth
    norm = np.linalg.norm(factors, ord=2, axis=(1, 2)).max()
    return norm, error, bound if depth >= 3 * spread else np.inf


def _determinants(seed: int, count: int, size: int) -> dict[str, float]:
    """Signs and norms of products of three factors: of random V of norms up to 2, and, in every
    second one, of −tuuᵀ with t up to 2 and two V of norms below 1."""
    streams = Streams(seed, "identity_factors", np.arange(count), "products")
    drawn = streams.normal(3 * size**2).reshape(count, 3, size, size)
    norms = 2 * streams.uniform(3, draw=1)
    unit = drawn[::2, 0, 0] / np.linalg.norm(drawn[::2, 0, 0], axis=1, keepdims=True)
    drawn[::2, 0] = -unit[:, :, None] * unit[:, None]
    norms[::2, 1:] /= 2
    drawn *= (norms / np.linalg.norm(drawn, ord=2, axis=(2, 3)))[..., None, None]
    sign = np.linalg.slogdet(np.eye(size) + drawn)[0].prod(axis=1)
    largest = norms.max(axis=1)
    return {
        "negative_inside": int(((largest < 1) & (sign <= 0)).sum()),
        "negative_norm": largest[sign < 0].min(initial=np.inf),
    }


def _euler_error(seed: int, count: int) -> float:
    """Of random rotations, as many half-turns, and the identity."""
    drawn = Streams(seed, "identity_factors", np.arange(count), "rotations").normal(9)
    turns = rotation(drawn.reshape(count, 3, 3))
    half = turns * [1.0, -1.0, -1.0] @ np.swapaxes(turns, 1, 2)
    every = np.concatenate([turns, half, np.eye(3)[None]])
    return max(np.abs(turned(*axis_and_angle(turn)) - turn).max() for turn in every)


def _own(model, owner: str) -> dict[str, float]:
    """The norm of a network's own target; nothing where it has no such factors."""
    try:
        norm, _, _ = _measured(model.target(), model.depth, owner)
    except UserError:
        return {}
    return {"factor_norm": norm, "scaled_factor_norm": norm * model.depth}


@nnflow.hookimpl
def nnflow_register(register):
    register("identity_factors", IdentityFactors)
