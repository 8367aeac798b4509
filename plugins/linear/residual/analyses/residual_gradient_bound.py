"""How small the gradient of a residual linear network can be."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

from ._identity_factors import identity_factors

SIZES = (2, 3, 4, 5, 6)
"""Widths of the networks, in turn."""


class ResidualGradientBound(Analysis):
    """‖∇f‖² ≥ 4K(1 − τ)^{2(K−1)} σ_min(Σ)(f − C_opt) where max‖V_k‖₂ ≤ τ < 1.

    f is the loss of a residual_linear_network with c = 1 and C_opt = s²d its infimum: in every
    layer, ‖∇_{V_k}f‖ = 2‖(…)ᵀΔΣ(…)ᵀ‖ with K − 1 factors I + V_j, whose singular values are at
    least 1 − τ. So a critical point with τ < 1 is global.

    Networks of each of the study's depths with random widths 2…6, targets, Σ, noise and V, each
    V_k of a norm uniform in [0, 1], give `log_bound_ratio` (configuration, draw), the decimal
    logarithm of left side over right side.
    """

    models = ("residual_linear_network",)
    columns = {
        "draws": "random weights",
        "bound_violations": "draws below the bound",
        "least_bound_ratio": "least squared gradient over its bound",
        "attained_ratio": "the same at V = −τI, Σ = I, where both are equal",
        "optimal_loss": "sampled loss per output at a product R, with noise of variance 1",
    }

    targets: PositiveInt = 20
    """Random networks."""
    draws: PositiveInt = 100
    """Random weights of each."""
    samples: PositiveInt = 20_000
    """Samples with noise."""

    def compute(self, results):
        models = [one.settings.model for one in results.configurations]
        of_depth = {model.depth: model for model in models}
        logs = {depth: self._draws(results, model) for depth, model in of_depth.items()}
        table = nnflow.Table(results, self.columns)
        for configuration, model in zip(results.configurations, models, strict=True):
            table.row(
                configuration,
                **_counts(logs[model.depth]),
                attained_ratio=_attained(of_depth[model.depth]),
                optimal_loss=self._optimal_loss(results, of_depth[model.depth]),
            )
        text = {"long_name": "log10 of the squared gradient over its bound"}
        drawn = np.stack([logs[model.depth] for model in models])
        return table.dataset().assign(log_bound_ratio=(("configuration", "draw"), drawn, text))

    def _draws(self, results, model) -> np.ndarray:
        """log₁₀ of ‖∇f‖² over its bound at all random weights of networks of the model's depth."""
        depth, seed = model.depth, results.study.settings.seed
        streams = Streams(seed, "residual_gradient_bound", np.arange(self.targets), f"K={depth}")
        logs = []
        for number in range(self.targets):
            size = SIZES[number % len(SIZES)]
            network = _network(type(model), depth, size, number, streams.take(np.array([number])))
            logs.append(_logs(network, *self._weights(streams, number, depth, size)))
        return np.concatenate(logs)

    def _optimal_loss(self, results, model) -> tuple[float, float, float]:
        """‖y − (I + V_K)⋯(I + V_1)x‖²/d over samples y = Rx + ξ, where the product is R."""
        network = type(model)(depth=model.depth, values=(2.0, 1.0, 0.5), rotation=1.0)
        target = network.target()
        factors = identity_factors(target, model.depth, "residual_gradient_bound")
        streams = Streams(
            results.study.settings.seed, f"K={model.depth}", np.arange(self.samples), "noise"
        )
        x, noise = np.split(streams.normal(2 * len(target)), 2, axis=1)
        outputs = x
        for factor in factors:
            outputs = outputs + outputs @ factor.T
        return nnflow.mean(((x @ target.T + noise - outputs) ** 2).mean(axis=1))

    def _weights(self, streams: Streams, number: int, depth: int, size: int):
        """V (draw, K, d, d) with norms that are uniform, and the largest of each draw."""
        own = Streams(streams.seed, f"{streams.purpose} {number}", np.arange(self.draws), "v")
        drawn = own.normal(depth * size**2).reshape(-1, depth, size, size)
        norms = own.uniform(depth, draw=1)
        drawn *= (norms / np.linalg.norm(drawn, ord=2, axis=(2, 3)))[..., None, None]
        return torch.as_tensor(drawn), norms.max(axis=1)


def _counts(logs: np.ndarray) -> dict[str, float]:
    return {
        "draws": len(logs),
        "bound_violations": (logs < -1e-9).sum(),
        "least_bound_ratio": 10 ** logs.min(),
    }


def _attained(model) -> float:
    """The ratio for layers that scale all directions equally."""
    tau = 0.5
    plain = type(model)(depth=model.depth, values=(2.0, 1.0, 0.5), rotation=1.0, factor=1.0)
    level = -tau * torch.eye(3, dtype=torch.float64).expand(1, model.depth, 3, 3)
    return 10 ** _logs(plain, level, np.full(1, tau))[0]


def _network(kind, depth: int, size: int, seed: int, streams: Streams):
    """A network with a random target, Σ and noise."""
    values, spectrum = np.exp(streams.normal(2 * size)[0].reshape(2, size))
    angle, noise = streams.uniform(2, draw=1)[0]
    return kind(
        depth=depth,
        values=tuple(values),
        rotation=math.pi * angle,
        covariance=tuple(spectrum),
        noise=noise,
        factor=1.0,
        seed=seed,
    )


def _logs(network, weights, tau: np.ndarray) -> np.ndarray:
    """log₁₀ of ‖∇f‖² over its bound, (draw,); the bound itself may be below any float."""
    named = {"v": weights}
    with torch.no_grad():
        excess = network.loss(named, {}).numpy() - network.infimum()
        gradient = network.gradient(named, {})["v"]
        square = gradient.square().sum(dim=(1, 2, 3)).numpy()
    depth = network.depth
    least = 4 * depth * min(network.covariance, default=1.0)
    return np.log10(square / (least * excess)) - 2 * (depth - 1) * np.log10(1 - tau)


@nnflow.hookimpl
def nnflow_register(register):
    register("residual_gradient_bound", ResidualGradientBound)
