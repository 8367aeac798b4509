"""Identities of the loss of deep linear networks, at random weights."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

from ..._matrices import first_of_widths, product, table

COLUMNS = {
    "rescaling_error": "largest relative change of the loss from (W₁, W₂) to (αW₁, W₂/α)",
    "two_zero_layers_gradient": "largest gradient norm where two layers are zero",
    "one_zero_layer_gradient": "smallest gradient norm where one layer is zero",
    "gradient_error": "largest relative error of the gradient in closed form",
    "printed_gradient": "share of layers whose gradient the product without transposes gives",
}


class LinearIdentities(Analysis):
    """Held at `draws` random weights, at the first point of each list of widths: the rescaling
    (αW₁, W₂/α) leaves the loss as it is; where two layers are zero the gradient vanishes; the
    gradient A_kᵀEXᵀB_kᵀ agrees with automatic differentiation, while A_kEXᵀB_k, as the slides
    of Chitour, Liao & Couillet print it (for X = I), does not, or its factors do not even fit."""

    needs = ("initialization",)

    draws: PositiveInt = 10
    """Random weights per point."""
    factor: PositiveFloat = 3.0
    """α."""

    def compute(self, results):
        rows = {configuration.label: {} for configuration in results.configurations}
        for configuration in first_of_widths(results):
            rows[configuration.label] = self._row(configuration, results.study.settings.seed)
        return table(rows, COLUMNS)

    def _row(self, configuration, seed: int) -> dict[str, float]:
        model = configuration.settings.model
        streams = Streams(seed, configuration.label, np.arange(self.draws), "identities")
        weights = {
            name: torch.as_tensor(streams.normal(a * b, draw=i).reshape(-1, a, b)) / a**0.5
            for i, (name, (a, b)) in enumerate(model.shapes().items())
        }
        layers = list(weights)
        row = {
            "gradient_error": _gradient_error(model, weights),
            "printed_gradient": np.mean(_printed(model, weights)),
        }
        if len(layers) < 2:
            return row
        loss = model.loss(weights, {})
        scaled = {**weights, "w1": self.factor * weights["w1"], "w2": weights["w2"] / self.factor}
        row["rescaling_error"] = float(((model.loss(scaled, {}) - loss) / loss).abs().max())
        pairs = [(a, b) for i, a in enumerate(layers) for b in layers[i + 1 :]]
        norms = [_norm(model, _without(weights, pair)) for pair in pairs]
        row["two_zero_layers_gradient"] = float(torch.stack(norms).max())
        norms = [_norm(model, _without(weights, (layer,))) for layer in layers]
        row["one_zero_layer_gradient"] = float(torch.stack(norms).min())
        return row


def _without(weights, zero):
    return {k: torch.zeros_like(w) if k in zero else w for k, w in weights.items()}


def _norm(model, weights):
    """‖∇L‖, (run,)."""
    parts = [part.flatten(1) for part in model.gradient(weights, {}).values()]
    return torch.linalg.vector_norm(torch.cat(parts, dim=1), dim=1)


def _gradient_error(model, weights) -> float:
    at = {name: weight.clone().requires_grad_(True) for name, weight in weights.items()}
    expected = torch.autograd.grad(model.loss(at, {}).sum(), list(at.values()))
    found = model.gradient(weights, {})
    errors = [
        float((f - e).abs().max() / e.abs().max().clamp_min(1))
        for f, e in zip(found.values(), expected, strict=True)
    ]
    return max(errors)


def _printed(model, weights) -> list[bool]:
    """For each layer: is (W_K⋯W_{k+1}) M (W_{k−1}⋯W₁) defined, and minus the gradient?"""
    layers = [weights[name].numpy() for name in model.shapes()]
    runs, widths = len(layers[0]), model.widths
    missing = model.y @ np.linalg.pinv(model.x) - product(layers, widths[0], runs)
    gradient = model.gradient(weights, {})
    agree = []
    for k in range(1, len(widths)):
        after = product(layers[k:], widths[k], runs)
        before = product(layers[: k - 1], widths[0], runs)
        try:
            printed = after @ missing @ before
        except ValueError:  # the shapes do not fit
            agree.append(False)
            continue
        expected = -gradient[f"w{k}"].numpy()
        agree.append(printed.shape == expected.shape and np.allclose(printed, expected))
    return agree


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_identities", LinearIdentities)
