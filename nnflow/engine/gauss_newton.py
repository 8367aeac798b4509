"""Generalized Gauss–Newton and Fisher matrices, by products and formed.

With L(W) = price(f(W), W), f the outputs for all samples, the Gauss–Newton matrix at W is the
Hessian at W of L with f replaced by its linear part there, U ↦ price(f(W) + J(U − W), U): JᵀHJ with
H the price's Hessian in the outputs, and the Hessian of what weights cost by themselves (weight
decay). It is positive semidefinite where the price is convex (Schraudolph 2002). The Fisher matrix,
mean over samples and over targets drawn from the network's own distribution of ∇log p ∇log pᵀ, is
JᵀHJ where the outputs are natural parameters of that distribution (Martens 2020, Section 9.2).

Both Jv and Jᵀu are by reverse mode: Jᵀu is linear in u, and Jv its derivative along v. Forward mode
is not used, as torch's is wrong for some layers (docs/pytorch.md).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from nnflow.base.errors import UserError

if TYPE_CHECKING:
    from nnflow.engine.objective import Objective

MATRICES = {
    "hessian": "Hessian",
    "gauss_newton": "Gauss-Newton matrix",
    "fisher": "Fisher matrix",
}
"""What a curvature is called in words."""


def gauss_newton_vector(
    objective: Objective, weights: torch.Tensor
) -> Callable[[torch.Tensor], torch.Tensor]:
    """v ↦ Gv, or Fv where the objective's curvature is `fisher`, for vectors (run, weight); the
    graph is built once and kept. Raises UserError where the model does not tell its outputs."""
    at = weights.detach().requires_grad_(True)
    with torch.enable_grad():
        named = objective.named(at)
        composed = objective.model.composed(named, objective.data)
        _check(objective, composed)
        outputs = composed.outputs
        dual = torch.zeros_like(outputs, requires_grad=True)
        (pulled,) = _slopes((outputs * dual).sum(), at)
        base, still = outputs.detach().requires_grad_(True), weights.detach()
        still.requires_grad_(objective.curvature == "gauss_newton")
        parts = [base, still] if still.requires_grad else [base]
        slopes = _slopes(composed.price(base, objective.named(still)).sum(), *parts)

    def product(vectors: torch.Tensor) -> torch.Tensor:
        with torch.enable_grad():
            (moved,) = _slopes((pulled * vectors).sum(), dual, further=False)
            along = [(slopes[0] * moved).sum()]
            along += [(slope * vectors).sum() for slope in slopes[1:]]
            bent = _slopes(sum(along), *parts, further=False)
            (back,) = _slopes((outputs * bent[0]).sum(), at, further=False)
        return sum(bent[1:], back).detach()

    return product


def gauss_newton(objective: Objective, weights: torch.Tensor) -> torch.Tensor:
    """G or F, (run, weight, weight), column by column."""
    product, count = gauss_newton_vector(objective, weights), weights.shape[1]
    columns = torch.eye(count, dtype=weights.dtype, device=weights.device)
    return torch.stack([product(column.expand_as(weights)) for column in columns], dim=2)


def _check(objective: Objective, composed) -> None:
    model, word = objective.model.name, MATRICES[objective.curvature]
    if objective.manifold is not None or objective.constraints is not None:
        raise UserError(f"model {model!r}: its weights are bound, and the {word} is for free ones")
    if composed is None:
        raise UserError(
            f"model {model!r}: no {word} here, as the model does not tell the outputs that its loss"
            " is a function of; use curvature: hessian"
        )
    if objective.curvature == "fisher" and not composed.likelihood:
        raise UserError(
            f"model {model!r}: its loss is not known to be the log-likelihood of a distribution, so"
            " there is no Fisher matrix; use curvature: gauss_newton"
        )


def _slopes(
    total: torch.Tensor, *parts: torch.Tensor, further: bool = True
) -> tuple[torch.Tensor, ...]:
    """Derivatives of a sum, 0 where it does not depend on a part; further: to be derived again."""
    if not total.requires_grad:
        return tuple(torch.zeros_like(part) for part in parts)
    return torch.autograd.grad(
        total, parts, create_graph=further, retain_graph=True, materialize_grads=True
    )
