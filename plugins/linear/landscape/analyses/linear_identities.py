"""Identities of the loss of deep linear networks, at random weights."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

from ..._matrices import first_of_widths, product


class LinearIdentities(Analysis):
    """Identities at `draws` random weights, for the first configuration of each list of widths.

    The rescaling (αW₁, W₂/α) leaves the loss as it is; where two layers are zero the gradient
    vanishes; the gradient A_kᵀEXᵀB_kᵀ agrees with automatic differentiation, while A_kEXᵀB_k, as
    the slides of Chitour, Liao & Couillet print it (for X = I), does not, or its factors do not
    even fit. The flow's loss falls as

        dL/dt ≤ −2 Σⱼ Πₖ<ⱼ λ_min(WₖᵀWₖ) Πₗ>ⱼ λ_min(WₗWₗᵀ) λ_min(XXᵀ) L,

    L less its least over all linear maps: −dL/dt = Σⱼ‖∇_{Wⱼ}L‖², and ‖AᵀMB‖ is at least the least
    singular values' part of ‖M‖ where Aᵀ and B are injective. Layers (δ_ab) attain it where the
    hidden ones are equally wide, and as wide as both ends.
    """

    needs = ("initialization",)
    models = ("linear_network",)
    columns = {
        "rescaling_error": "largest relative change of the loss from (W₁, W₂) to (αW₁, W₂/α)",
        "two_zero_layers_gradient": "largest gradient norm where two layers are zero",
        "one_zero_layer_gradient": "smallest gradient norm where one layer is zero",
        "gradient_error": "largest relative error of the gradient in closed form",
        "printed_gradient": "share of layers whose gradient the product without transposes gives",
        "fall_violations": "random weights at which the loss falls more slowly than its bound",
        "fall_attained": "−dL/dt over its bound at layers with ones on the diagonal, equal there",
    }

    draws: PositiveInt = 10
    """Random weights for each list of widths."""
    factor: PositiveFloat = 3.0
    """α."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration in first_of_widths(results):
            model = configuration.settings.model
            weights = self._weights(model, results.study.settings.seed, configuration.label)
            table.row(
                configuration,
                gradient_error=_gradient_error(model, weights),
                printed_gradient=np.mean(_printed(model, weights)),
                **_fall(model, weights),
            )
            if len(model.layers) > 1:
                table.row(configuration, rescaling_error=self._rescaling_error(model, weights))
                table.row(configuration, **_zero_layers(model, weights))
        return table.dataset()

    def _weights(self, model, seed: int, label: str) -> dict:
        streams = Streams(seed, label, np.arange(self.draws), "identities")
        return {
            name: torch.as_tensor(streams.normal(a * b, draw=i).reshape(-1, a, b)) / a**0.5
            for i, (name, (a, b)) in enumerate(model.shapes().items())
        }

    def _rescaling_error(self, model, weights) -> float:
        loss = model.loss(weights, {})
        scaled = {**weights, "w1": self.factor * weights["w1"], "w2": weights["w2"] / self.factor}
        return float(((model.loss(scaled, {}) - loss) / loss).abs().max())


def _fall(model, weights) -> dict[str, float]:
    """The fall of the loss beside its bound."""
    fall, bound = _fall_and_bound(model, weights)
    found = {"fall_violations": int((fall < bound * (1 - 1e-12)).sum())}
    first, *hidden, last = model.widths
    if len(set(hidden)) == 1 and hidden[0] >= max(first, last):
        ones = {n: torch.eye(*s, dtype=torch.float64)[None] for n, s in model.shapes().items()}
        fall, bound = _fall_and_bound(model, ones)
        found["fall_attained"] = float(fall[0] / bound[0])
    return found


def _fall_and_bound(model, weights) -> tuple[np.ndarray, np.ndarray]:
    """−dL/dt along the flow, and its bound, (run,)."""
    least = [_least_eigenvalues(weights[name].numpy()) for name in model.shapes()]
    count = len(least)
    total = sum(
        np.prod([least[k][0] for k in range(j)], axis=0)
        * np.prod([least[k][1] for k in range(j + 1, count)], axis=0)
        for j in range(count)
    )
    best = model.y @ np.linalg.pinv(model.x) @ model.x
    excess = model.loss(weights, {}).numpy() - ((model.y - best) ** 2).sum() / 2
    inputs = np.linalg.eigvalsh(model.x @ model.x.T)[0]
    return _norm(model, weights).numpy() ** 2, 2 * total * inputs * excess


def _least_eigenvalues(layer: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """λ_min(WᵀW) and λ_min(WWᵀ), each (run,)."""
    gram, other = np.swapaxes(layer, 1, 2) @ layer, layer @ np.swapaxes(layer, 1, 2)
    return tuple(np.maximum(np.linalg.eigvalsh(one)[:, 0], 0) for one in (gram, other))


def _zero_layers(model, weights) -> dict[str, float]:
    """Norms of the gradient where one or two layers are zero."""
    norms = {
        count: torch.stack(
            [_norm(model, _without(weights, layers)) for layers in combinations(weights, count)]
        )
        for count in (1, 2)
    }
    return {
        "two_zero_layers_gradient": float(norms[2].max()),
        "one_zero_layer_gradient": float(norms[1].min()),
    }


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
