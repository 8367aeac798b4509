"""The gradient of a network against its lower bound, and what each assumption is needed for."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, share

from ..._gradient_bound import gradient_bound
from .._cases import CASES, evaluate, extended_ranks_are_full

ZERO = 1e-12
"""Mean squared residuals above this are losses. Polished runs are below 1e-24, or far above."""


class PyramidBound(Analysis):
    """`gradient_bound` in each layer at the first weights and the ends of the runs of `pyramid`.

    In the first layer it is Gori & Tesi's theorem with numbers: if L is stationary in (W_1 b_1),
    the vectors (x, 1) are independent, the W_k have rank d_k for k ≥ 2 and σ' > 0, then L = 0. In
    layer s + 1 it is that for the fixed features φ of the first s layers. Ends with a small
    gradient, full ranks and L > 0 exist, where neurons are saturated: they are no exceptions, as
    the bound shows. `norm`, `bound` (point,) of the first layer over all configurations are for a
    figure. The columns CASE_loss and CASE_gradient are those of `_cases`.
    """

    models = ("pyramid",)
    needs = ("initialization", "critical_points")
    columns = {
        "points": "points and layers at which the gradient has a bound above rounding",
        "violations": "share of them at which it is below",
        "runs": "runs",
        "stationary": "runs that ended at a stationary point",
        "lossy": "stationary ends with L > 0",
        "lowest_loss": "lowest loss of an end",
        "thin_infimum": "lower bound of L where the outputs outnumber the last hidden neurons",
        "lossy_bound": "largest bound of the first layer's gradient at those",
        "extended_exceptions": "stationary points with L > 0 and full ranks of all (W_k b_k)",
        **{f"{name}_loss": f"loss of the case {name!r}" for name in CASES},
        **{f"{name}_gradient": f"norm of the gradient there, case {name!r}" for name in CASES},
    }

    def compute(self, results):
        table, parts = Table(results, self.columns), []
        for name, case in CASES.items():
            loss, gradient = evaluate(case)
            table.everywhere(**{f"{name}_loss": loss, f"{name}_gradient": gradient})
        table.everywhere(extended_exceptions=_exceptions())
        for configuration, critical in results.each("critical_points"):
            model = configuration.settings.model
            started = results.at("initialization", configuration.label)
            layers = range(1, len(model.widths))
            bounds = [_bound(model, at, layer) for at in (started, critical) for layer in layers]
            points = sum(bound.informative for bound in bounds)
            first = _bound(model, critical, 1)
            stationary = ~flag_mask(critical["kind"], "not_critical")
            lossy = stationary & (critical["loss"].values > ZERO)
            table.row(
                configuration,
                points=points,
                violations=share(sum(bound.violations for bound in bounds), points),
                runs=critical.sizes["run"],
                stationary=int(stationary.sum()),
                lossy=int(lossy.sum()),
                lowest_loss=critical["loss"].values.min(),
                thin_infimum=_thin_infimum(model),
                lossy_bound=first.bound[lossy].max(initial=0.0),
            )
            parts += [_bound(model, started, 1), first]
        text = {
            "norm": "norm of the gradient in the first layer, for the loss ½‖E‖²",
            "bound": "its lower bound",
        }
        joined = {
            name: (
                "point",
                np.concatenate([getattr(one, name) for one in parts]),
                {"long_name": meaning},
            )
            for name, meaning in text.items()
        }
        return table.dataset().assign(joined)


def _bound(model, points, layer: int):
    """Of the points of a dataset."""
    numbers = range(1, len(model.widths))
    weights = [points[f"w{number}"].values for number in numbers]
    biases = [points[f"b{number}"].values for number in numbers]
    return gradient_bound(weights, *model.data(), _tanh, layer, biases)


def _tanh(values):
    outputs = np.tanh(values)
    # 1 − tanh² would lose all digits where neurons are saturated
    return outputs, 1 / np.cosh(np.clip(values, -300, 300)) ** 2


def _exceptions() -> int:
    """Of the case whose samples are independent and whose σ' is positive everywhere."""
    loss, gradient = evaluate(CASES["rank"])
    return int(loss > ZERO and gradient < ZERO and extended_ranks_are_full(CASES["rank"]))


def _thin_infimum(model) -> float:
    """All outputs lie in an affine space of as many dimensions as the last hidden layer has
    neurons: what of the targets lies outside of the best one is a loss at every point."""
    _, targets = model.data()
    missing = max(0, model.widths[-1] - model.widths[-2])
    centered = targets - targets.mean(axis=1, keepdims=True)
    return np.linalg.eigvalsh(centered @ centered.T)[:missing].sum() / (2 * model.samples)


@nnflow.hookimpl
def nnflow_register(register):
    register("pyramid_bound", PyramidBound)
