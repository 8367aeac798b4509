"""How small the gradient of a residual linear network can be."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, UserError, torch

SIZES = (2, 3, 4, 5, 6)
"""Widths of the networks, in turn."""


class ResidualGradientBound(Analysis):
    """‖∇f‖² ≥ 4K(1 − τ)^{2(K−1)} σ_min(Σ)(f − C_opt) where max‖V_k‖₂ ≤ τ < 1.

    f is the loss of a residual_linear_network with c = 1 and C_opt = s²d its infimum: in every
    layer, ‖∇_{V_k}f‖ = 2‖(…)ᵀΔΣ(…)ᵀ‖ with K − 1 factors I + V_j, whose singular values are at
    least 1 − τ. So a critical point with τ < 1 is global.

    At each point, networks of its depth with random widths 2…6, targets, Σ, noise and V, each
    V_k of a norm uniform in [0, 1], give `log_bound_ratio` (point, draw), the decimal
    logarithm of left side over right side.
    Columns: `draws`, `bound_violations`, `least_bound_ratio`, and `attained_ratio` at
    V_k = −τI and Σ = I, where both sides are equal; `optimal_loss` over d, C_opt for noise of
    variance 1.
    """

    targets: PositiveInt = 20
    """Random networks."""
    draws: PositiveInt = 100
    """Random weights of each."""

    def compute(self, results):
        import xarray as xr

        models = [_model(results, configuration) for configuration in results.configurations]
        of_depth = {model.depth: model for model in models}
        found = {depth: self._row(results, model) for depth, model in of_depth.items()}
        rows = [found[model.depth] for model in models]
        logs = np.stack([row["logs"] for row in rows])
        columns = {
            "draws": ([logs.shape[1]] * len(rows), "random weights"),
            "bound_violations": ((logs < -1e-9).sum(axis=1), "draws below the bound"),
            "least_bound_ratio": (10 ** logs.min(axis=1), "least squared gradient over its bound"),
            "attained_ratio": ([row["attained"] for row in rows], "the same at V = −τI, Σ = I"),
            "optimal_loss": ([row["optimum"] for row in rows], "least loss per output, noise 1"),
        }
        variables = {
            name: ("configuration", values, {"long_name": text})
            for name, (values, text) in columns.items()
        }
        text = {"long_name": "log10 of the squared gradient over its bound"}
        variables["log_bound_ratio"] = (("configuration", "draw"), logs, text)
        return xr.Dataset(
            variables,
            {"configuration": [configuration.label for configuration in results.configurations]},
        )

    def _row(self, results, model) -> dict:
        """What is found for networks of the model's depth."""
        depth, seed = model.depth, results.study.settings.seed
        streams = Streams(seed, "residual_gradient_bound", np.arange(self.targets), f"K={depth}")
        logs = []
        for number in range(self.targets):
            size = SIZES[number % len(SIZES)]
            network = _network(type(model), depth, size, number, streams.take(np.array([number])))
            logs.append(_logs(network, *self._weights(streams, number, depth, size)))
        # where nothing is lost: all layers scale all directions alike
        tau = 0.5
        plain = type(model)(depth=depth, values=(2.0, 1.0, 0.5), rotation=1.0, factor=1.0)
        level = -tau * torch.eye(3, dtype=torch.float64).expand(1, depth, 3, 3)
        noisy = plain.model_copy(update={"noise": 1.0})
        return {
            "logs": np.concatenate(logs),
            "attained": 10 ** _logs(plain, level, np.full(1, tau))[0],
            "optimum": noisy.infimum() / len(noisy.values),
        }

    def _weights(self, streams: Streams, number: int, depth: int, size: int):
        """V (draw, K, d, d) with norms that are uniform, and the largest of each draw."""
        own = Streams(streams.seed, f"{streams.purpose} {number}", np.arange(self.draws), "v")
        drawn = own.normal(depth * size**2).reshape(-1, depth, size, size)
        norms = own.uniform(depth, draw=1)
        drawn *= (norms / np.linalg.norm(drawn, ord=2, axis=(2, 3)))[..., None, None]
        return torch.as_tensor(drawn), norms.max(axis=1)


def _model(results, configuration):
    model = configuration.settings.model
    if model.name != "residual_linear_network":
        raise UserError(
            f"{results.study.file}: analyses: residual_gradient_bound is about"
            f" residual_linear_network, not {model.name!r}"
        )
    return model


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
