"""The reduction of linear networks to X = I and Y = (D 0)."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

from ..._matrices import first_of_widths, product


class LinearReduction(Analysis):
    """Networks of the study's widths with normal X and Y and normal weights, beside their reduced
    form (`Reduction`), at the first configuration of each list of widths: the losses agree, and
    gradients are mapped as weights are where XXᵀ = I. And
    a linear network is linear regression: with W_LR = YXᵀ(XXᵀ)⁻¹, Δ = W_K⋯W₁ − W_LR and Σ = XXᵀ,

        ½‖Y − W_K⋯W₁X‖² = ½‖Y − W_LR X‖² + ½tr(ΔᵀΔΣ).
    """

    needs = ("initialization",)
    models = ("linear_network",)
    columns = {
        "reduction_loss_error": "largest relative error of the reduced loss plus its constant",
        "regression_error": "largest relative error of the loss as that of W_LR plus ½tr(ΔᵀΔΣ)",
        "reduction_back_error": "largest error of the weights after the map and its inverse",
        "reduced_flow": "share of weights whose gradient is reduced with them, for normal X",
        "reduced_flow_whitened": "share of weights whose gradient is reduced with them, if XXᵀ = I",
    }

    draws: PositiveInt = 10
    """Random (X, Y, W) for each list of widths."""
    samples: PositiveInt = 12
    """Columns of X and Y, more than any width."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration in first_of_widths(results):
            runs = np.arange(self.draws)
            streams = Streams(results.study.settings.seed, configuration.label, runs, "reduction")
            table.row(configuration, **self._row(configuration.settings.model, streams))
        return table.dataset()

    def _row(self, model, streams) -> dict[str, float]:
        found = [self._try(model, streams.take(np.array([i]))) for i in range(self.draws)]
        loss, regression, back, plain, white = np.array(found).T
        return {
            "reduction_loss_error": loss.max(),
            "regression_error": regression.max(),
            "reduction_back_error": back.max(),
            "reduced_flow": (plain < 1e-9).mean(),
            "reduced_flow_whitened": (white < 1e-9).mean(),
        }

    def _try(self, model, streams) -> tuple[float, float, float, float, float]:
        first, last = model.widths[0], model.widths[-1]
        x = streams.normal(first * self.samples, draw=100).reshape(first, -1)
        y = streams.normal(last * self.samples, draw=101).reshape(last, -1)
        weights = {
            name: torch.as_tensor(streams.normal(a * b, draw=i).reshape(1, a, b))
            for i, (name, (a, b)) in enumerate(model.shapes().items())
        }
        whole = type(model)(widths=model.widths, target=y.tolist(), inputs=x.tolist())
        white = np.linalg.svd(x, full_matrices=False)[2]
        whitened = type(model)(widths=model.widths, target=y.tolist(), inputs=white.tolist())
        reduction = whole.reduction()
        there = reduction.forth(weights)
        expected = float(whole.loss(weights, {}))
        loss = float(whole.reduced().loss(there, {})) + reduction.constant
        again = reduction.back(there)
        back = max(float((again[name] - w).abs().max()) for name, w in weights.items())
        errors = [_gradient_error(each, weights) for each in (whole, whitened)]
        regression = abs(_as_regression(x, y, weights) - expected) / expected
        return abs(loss - expected) / expected, regression, back, *errors


def _as_regression(x: np.ndarray, y: np.ndarray, weights) -> float:
    """½‖Y − W_LR X‖² + ½tr(ΔᵀΔΣ)."""
    sigma = x @ x.T
    best = np.linalg.solve(sigma, x @ y.T).T
    delta = product([w.numpy() for w in weights.values()], len(x), 1)[0] - best
    return float(((y - best @ x) ** 2).sum() + np.trace(delta.T @ delta @ sigma)) / 2


def _gradient_error(model, weights) -> float:
    """Relative difference between the reduced gradient and the gradient of the reduced."""
    reduction = model.reduction()
    mapped = reduction.forth(model.gradient(weights, {}))
    there = model.reduced().gradient(reduction.forth(weights), {})
    return max(float((mapped[n] - g).abs().max() / g.abs().max()) for n, g in there.items())


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_reduction", LinearReduction)
