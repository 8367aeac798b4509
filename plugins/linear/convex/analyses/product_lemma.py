"""Local minima of a linear network, and the derivative of its loss in the product alone."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, flag_mask, torch

from ..._chain import products, pulled_back

OFF = 1e-3
"""‖∇g‖ above which a product is not stationary; where it is, it is below 1e-8."""


class ProductLemma(Analysis):
    """L(W) = g(W_K⋯W_1), g of class C¹: where no hidden layer is thinner than both ends, ∇g = 0 at
    the product of every local minimizer, be g convex or not (Laurent & von Brecht 2018,
    arXiv:1712.01473, the lemma behind Theorem 1).

    At the ends of runs without a negative Hessian eigenvalue ‖∇g‖ should vanish, while saddles of
    L need not be stationary for g. Where the hidden layers are no thinner than the input, the
    proof's perturbations W̃_k = W_k + δ|w_k⟩⟨u_{k−1}|, k ≥ 2, u_{k−1} orthogonal to the range of
    W_{k−1}⋯W_1, keep the product of layers whose first has a kernel; at W = 0, a critical point,
    they lead to points with a gradient, so that it is no local minimum unless ∇g(0) = 0. And the
    gradient that the lecture prints, W*_{k+1}⋯W*_K ∇g W*_1⋯W*_{k−1}, is that of g(W_K⋯W_1); the
    lecture writes g(W_1⋯W_K) beside it.
    """

    needs = ("critical_points",)
    columns = {
        "level_points": "runs at smooth critical points without a negative eigenvalue",
        "level_product_gradient": "largest ‖∇g‖ at their products",
        "level_losses": "different losses of these",
        "saddles_off": "runs at saddles whose products are not stationary for g",
        "product_change": "largest relative change of a product by the perturbations",
        "zero_gradient": "‖∇L‖ at W = 0",
        "perturbed_gradient": "least ‖∇L‖ at perturbations of W = 0",
        "printed_order": "share of layers whose gradient of g(W_1⋯W_K) is the printed one",
        "mended_order": "share of layers whose gradient of g(W_K⋯W_1) is the printed one",
    }

    draws: PositiveInt = 20
    """Random layers and perturbations."""
    size: PositiveFloat = 0.1
    """δ."""

    def compute(self, results):
        seed, table = results.study.settings.seed, nnflow.Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            model = configuration.settings.model
            if not _differentiable(model.loss_function):
                continue
            streams = Streams(seed, configuration.label, np.arange(self.draws), "product_lemma")
            table.row(
                configuration,
                **_ends(model, critical, configuration.settings.classify.global_within),
                **self._perturbed(model, streams),
                **_orders(model, _layers(model, streams, 0)),
            )
        return table.dataset()

    def _perturbed(self, model, streams) -> dict[str, float]:
        """What the perturbations keep, and where they lead from W = 0."""
        widths = model.chain()
        if min(widths[1:-1], default=0) < widths[0]:
            return {}
        layers = _layers(model, streams, 0)
        layers[0][:, :, 0] = 0
        moved = perturbed(layers, self.size, streams)
        before, after = products(layers)[-1], products(moved)[-1]
        zero = [np.zeros_like(layer) for layer in layers]
        still, moving = (_norms(model, one) for one in (zero, perturbed(zero, self.size, streams)))
        return {
            "product_change": (np.abs(after - before).max() / np.abs(before).max()),
            "zero_gradient": still.max(),
            "perturbed_gradient": moving.min(),
        }


def _differentiable(loss) -> bool:
    """Has ℓ no kinks?"""
    known = loss.kinks(torch.zeros(1, 1), torch.zeros(1, 1))
    return known is not None and known[0].shape[-1] == 0


def perturbed(layers: list[np.ndarray], size: float, streams) -> list[np.ndarray]:
    """W_k + size·w_k u_{k−1}ᵀ for k ≥ 2, with random w_k and a unit vector u_{k−1} orthogonal to
    the range of W_{k−1}⋯W_1, whose rank is below the width of its layer; (run, …, …) each."""
    moved, below = [layers[0]], products(layers)
    for k in range(1, len(layers)):
        across = np.linalg.svd(below[k - 1])[0][:, :, -1]
        along = streams.normal(layers[k].shape[1], draw=100 + k)
        moved.append(layers[k] + size * along[:, :, None] * across[:, None])
    return moved


def _layers(model, streams, draw: int) -> list[np.ndarray]:
    """Random weights, (run, d_k, d_{k−1}) each."""
    shapes = model.shapes().values()
    return [
        streams.normal(rows * columns, draw=draw + k).reshape(-1, rows, columns)
        for k, (rows, columns) in enumerate(shapes)
    ]


def _ends(model, critical, within: float) -> dict[str, float]:
    """‖∇g‖ at the products of the ends of runs."""
    maps = products([critical[name].values for name in model.shapes()])[-1]
    slope = model.slope(torch.as_tensor(maps)).flatten(1)
    norms = torch.linalg.vector_norm(slope, dim=1).numpy()
    smooth = ~(
        flag_mask(critical["kind"], "nonsmooth") | flag_mask(critical["kind"], "not_critical")
    )
    level = smooth & (critical["index"].values == 0)
    losses = np.sort(critical["loss"].values[level])
    return {
        "level_points": int(level.sum()),
        "level_product_gradient": norms[level].max() if level.any() else np.nan,
        "level_losses": int(level.any()) + int((np.diff(losses) > within).sum()),
        "saddles_off": int((smooth & ~level & (norms > OFF)).sum()),
    }


def _norms(model, layers: list[np.ndarray]) -> np.ndarray:
    """‖∇L‖, (run,)."""
    named = {k: torch.as_tensor(w) for k, w in zip(model.shapes(), layers, strict=True)}
    parts = [part.flatten(1) for part in model.gradient(named, {}).values()]
    return torch.linalg.vector_norm(torch.cat(parts, dim=1), dim=1).numpy()


def _orders(model, layers: list[np.ndarray]) -> dict[str, float]:
    """For which layers is the printed gradient that of g(W_1⋯W_K), and of g(W_K⋯W_1)?"""
    below = products(layers)
    slope = model.slope(torch.as_tensor(below[-1])).numpy()
    printed = pulled_back(layers, below, slope)
    return {
        "printed_order": np.mean(_agree(model, layers[::-1], printed[::-1])),
        "mended_order": np.mean(_agree(model, layers, printed)),
    }


def _agree(model, factors: list[np.ndarray], expected: list[np.ndarray]) -> list[bool]:
    """For each factor, the last one leftmost in the product: is this the gradient of g in it? Not
    where the product has no meaning, or not the shape that g takes."""
    leaves = [torch.tensor(factor, requires_grad=True) for factor in factors]
    try:
        with torch.enable_grad():
            value = model.convex(products(leaves)[-1]).sum()
    except RuntimeError:  # the shapes do not fit
        return [False] * len(factors)
    found = torch.autograd.grad(value, leaves)
    return [
        np.allclose(one.numpy(), other, rtol=1e-9, atol=1e-12)
        for one, other in zip(found, expected, strict=True)
    ]


@nnflow.hookimpl
def nnflow_register(register):
    register("product_lemma", ProductLemma)
