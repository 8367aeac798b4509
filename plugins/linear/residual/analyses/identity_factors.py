"""How near the identity the layers of a residual linear network can be."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams, UserError

from ._identity_factors import identity_factors, norm_limit


class IdentityFactors(Analysis):
    """Hardt & Ma's factorization A = (I + V_K)⋯(I + V_1), with K·max‖V_k‖ against K.

    Random matrices of positive determinant (normal entries, a column turned where needed), and
    those of the study file, give `scaled_norm` K·max‖V_k‖₂ (matrix, factors) and its `limit`
    (matrix,). Columns, the same at each of the study's points: `matrices`,
    `reconstruction_error`, the largest entry of product − A over max|A|; `limit_error`, the
    largest |K·max‖V_k‖ / limit − 1| at the largest K; and `above_bound`, the cases with K ≥ 3γ
    and a norm above Theorem 2.1's bound 2(√π + √(3γ))²/K, γ = max|log σ(A)|.
    At points whose model is a residual_linear_network with a target of positive determinant:
    `factor_norm`, max‖V_k‖ of the target's own factorization into the network's depth, and
    `scaled_factor_norm`, K times that.
    """

    size: Annotated[int, Field(ge=2)] = 5
    """Rows of the random matrices."""
    count: PositiveInt = 20
    """Random matrices."""
    depths: tuple[PositiveInt, ...] = (2, 4, 8, 16, 32, 64, 128, 256, 512)
    """Numbers K of factors."""
    matrices: list[list[list[float]]] = []
    """Further matrices of the same size."""

    def compute(self, results):
        import xarray as xr

        owner = f"{results.study.file}: analyses: identity_factors"
        cases = [*self._random(results.study.settings.seed), *map(np.array, self.matrices)]
        rows = [[_measured(case, depth, owner) for depth in self.depths] for case in cases]
        norms, errors, bounds = np.moveaxis(np.array(rows), 2, 0)
        scaled = norms * np.array(self.depths)
        limits = np.array([norm_limit(case) for case in cases])
        common = {
            "matrices": (len(cases), "factorized matrices"),
            "reconstruction_error": (errors.max(), "largest relative error of the product"),
            "limit_error": (
                np.abs(scaled[:, -1] / limits - 1).max(),
                "largest relative distance of K max‖V‖ from its limit",
            ),
            "above_bound": (int((norms > bounds).sum()), "norms above the theorem's bound"),
        }
        configurations = results.configurations
        variables = {
            name: ("configuration", np.full(len(configurations), value), {"long_name": text})
            for name, (value, text) in common.items()
        }
        own = [_own(configuration.settings.model, owner) for configuration in configurations]
        for place, name in enumerate(("factor_norm", "scaled_factor_norm")):
            text = "max‖V‖ of the target's factorization" + ", times the depth" * place
            variables[name] = ("configuration", [one[place] for one in own], {"long_name": text})
        variables["scaled_norm"] = (("matrix", "factors"), scaled, {"long_name": "K max‖V‖"})
        variables["limit"] = ("matrix", limits, {"long_name": "its limit"})
        labels = [configuration.label for configuration in configurations]
        return xr.Dataset(variables, {"configuration": labels, "factors": list(self.depths)})

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


def _own(model, owner: str) -> tuple[float, float]:
    """The same norm of a network's target, and the norm times the depth."""
    if model is None or model.name != "residual_linear_network":
        return np.nan, np.nan
    try:
        norm, _, _ = _measured(model.target(), model.depth, owner)
    except UserError:  # no such factors
        return np.nan, np.nan
    return norm, norm * model.depth


@nnflow.hookimpl
def nnflow_register(register):
    register("identity_factors", IdentityFactors)
