"""The gradient of a network against its lower bound, and what each assumption is needed for."""

from __future__ import annotations

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

import nnflow
from nnflow import Analysis, Table, flag_mask, share

from ..._gradient_bound import gradient_bound
from .._adversaries import tanh, try_to_break
from .._cases import CASES, evaluate, extended_ranks_are_full
from .._thin import is_thin, stationary_points

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

    The `search_…` columns are of an attempt to break the bound: descents in log(norm/bound) from
    random, nearly singular and saturated weights, in each layer that has a bound. The points of one
    descent are no independent tests; so the share is one of descents.

    The `thin_…` columns are of networks with fewer hidden neurons than outputs, which are not
    pyramidal, while all else that the theorem asks can hold: W_2 has all the rank that its shape
    allows. Two stationary points of different losses are constructed there (`_thin`). Searches
    also end at other losses in such networks, where σ' → 0 and the gradient with it: these are no
    stationary points.
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
        "searches": "descents in the ratio of gradient and bound, over all layers with a bound",
        "search_points": "points of them with a bound above rounding",
        "search_violations": "share of descents that met a gradient below its bound",
        "search_closest": "lowest ratio of gradient and bound that a descent met",
        "thin_infimum": "lower bound of L where the outputs outnumber the last hidden neurons",
        "thin_loss": "loss of a stationary point there that is not global",
        "thin_gradient": "norm of the gradient at it",
        "thin_eigenvalue": "lowest eigenvalue of the Hessian at it",
        "thin_margin": "least of σ_N(x, 1), the last singular value of W_2, and σ' at it",
        "thin_better": "loss of another stationary point",
        "thin_better_gradient": "norm of the gradient at that one",
        "thin_excess": "difference of these losses",
        "thin_gap": "by how much the lower one is above the bound of L",
        "lossy_bound": "largest bound of the first layer's gradient at those",
        "extended_exceptions": "stationary points with L > 0 and full ranks of all (W_k b_k)",
        **{f"{name}_loss": f"loss of the case {name!r}" for name in CASES},
        **{f"{name}_gradient": f"norm of the gradient there, case {name!r}" for name in CASES},
    }

    searches: PositiveInt = 24
    """Descents in the ratio for each layer."""
    search_steps: NonNegativeInt = 40
    """Steps of each."""

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
                **self._search(model, results.study.settings.seed, configuration.label),
                **_thin(model),
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

    def _search(self, model, seed: int, label: str) -> dict:
        found = try_to_break(model, seed, label, self.searches, self.search_steps)
        if not found:
            return {"searches": 0, "search_points": 0}
        broken = np.concatenate([one.broken for one in found])
        return {
            "searches": len(broken),
            "search_points": sum(one.points for one in found),
            "search_violations": share(int(broken.sum()), len(broken)),
            "search_closest": np.nanmin([one.closest for one in found]),
        }


def _thin(model) -> dict:
    if not is_thin(model):
        return {}
    worse, better = stationary_points(model)
    return {
        "thin_loss": worse.loss,
        "thin_gradient": worse.gradient,
        "thin_eigenvalue": worse.eigenvalue,
        "thin_margin": worse.margin,
        "thin_better": better.loss,
        "thin_better_gradient": better.gradient,
        "thin_excess": worse.loss - better.loss,
        "thin_gap": better.loss - _thin_infimum(model),
    }


def _bound(model, points, layer: int):
    """Of the points of a dataset."""
    numbers = range(1, len(model.widths))
    weights = [points[f"w{number}"].values for number in numbers]
    biases = [points[f"b{number}"].values for number in numbers]
    return gradient_bound(weights, *model.data(), tanh, layer, biases)


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
