"""The basic convergence result of gradient descent, held against every step of every run."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Table, UserError, flag_mask, share_of

ROUNDING = 1e-13
"""Slack of the inequalities, relative to the first loss: some hundred times the rounding of one."""
ACCURACIES = 10.0 ** np.arange(-6, 0.01, 0.25)
"""ε of the stop rule |∇L| < ε, relative to √(2MΔ), the largest gradient that M and Δ allow."""


class DescentInequality(Analysis):
    """L(Wₙ₊₁) ≤ L(Wₙ) − c|∇L(Wₙ)|², c = α(1 − Mα/2), and what follows of it:

        min_{n ≤ N}|∇L(Wₙ)|² ≤ Δ/(cN),  Δ = L(W₁) − inf L,

    for N points, which are N − 1 steps; Σ|∇L(Wₙ)|² ≤ Δ/c, so that ∇L(Wₙ) → 0; and |∇L| < ε at a
    point n ≤ ⌊Δ/(cε²)⌋ + 1. Runs with
    α < 2/M are tested at every step, which the trace has to record; of the others it is counted
    how many diverge. M is the model's `smoothness`, inf L its `lower_bound`.

    For the figure, `least_gradient` (configuration, point) is the median of min|∇L|²/(2MΔ) over
    the runs whose αM is nearest to 1.
    """

    needs = ("training",)
    models = ("separable", "fixed_readout")
    columns = {
        "smoothness": "Lipschitz constant M of the gradient",
        "inequality_exceptions": "share of runs below 2/M that break the inequality at some step",
        "sharpness": "least ratio of a step's fall of the loss to the promised one",
        "bound_exceptions": "share of runs whose least gradient exceeds its bound at some N",
        "bound_ratio": "largest ratio of the least squared gradient to its bound",
        "sum_exceptions": "share of runs whose squared gradients sum up to more than Δ/c",
        "stop_exceptions": "share of runs that reach some accuracy later than promised",
        "diverged_below": "share of runs that diverge with a rate below 2/M",
        "diverged_above": "share of runs that diverge with a rate above 2/M",
    }

    points: PositiveInt = 60
    """Points of the curves of the figure."""

    def compute(self, results):
        table, curves = Table(results, self.columns), []
        for configuration, trained in results.each("training"):
            settings = configuration.settings
            data = {} if settings.dataset is None else settings.dataset.load(None)
            rate = np.asarray(trained.coords.get("rate", settings.optimizer.rate), dtype=float)
            smoothness = settings.model.smoothness(data)
            relative = np.broadcast_to(rate * smoothness, trained.sizes["run"])
            diverged = flag_mask(trained["status"], "diverged")
            below = relative < 2
            losses, gradients = _traced(results, trained)
            losses = losses - settings.model.lower_bound()
            table.row(
                configuration,
                smoothness=smoothness,
                diverged_below=share_of(diverged[below]),
                diverged_above=share_of(diverged[~below]),
                **tested(losses[below], gradients[below], relative[below], smoothness),
            )
            nearest = np.abs(relative - 1) == np.abs(relative - 1).min()
            losses, gradients = losses[nearest], gradients[nearest]
            scale = 2 * smoothness * losses[:, :1]
            least = np.minimum.accumulate(gradients**2, axis=1) / scale
            point = np.geomspace(1, least.shape[1], self.points).round().astype(int)
            curves.append(np.median(least, axis=0)[point - 1])
        return table.dataset().assign(
            least_gradient=(
                ("configuration", "point"), np.array(curves),
                {"long_name": "least squared gradient up to a point, over 2MΔ; median of runs"},
            ),
            point=("point", point, {"long_name": "number of points, from 1"}),
        )  # fmt: skip


def _traced(results, trained) -> tuple[np.ndarray, np.ndarray]:
    """Losses and gradient norms, (run, point). Raises UserError where some step is not recorded."""
    if not (np.diff(trained["trace_step"].values) == 1).all():
        raise UserError(
            f"{results.study.file}: trace.points_per_decade: descent_inequality needs every step;"
            " take at least 2.4 times stop.steps"
        )
    return trained["trace_loss"].values, trained["trace_gradient_norm"].values


def tested(
    losses: np.ndarray, gradients: np.ndarray, relative: np.ndarray, smoothness: float
) -> dict[str, float | tuple[float, float, float]]:
    """The inequality and its two consequences. losses: above inf L, gradients: norms, (run, point);
    relative: αM < 2 of each run."""
    alpha = relative / smoothness
    c = (alpha * (1 - relative / 2))[:, None]
    slack = ROUNDING * losses[:, :1]
    promised, fall = c * gradients[:, :-1] ** 2, losses[:, :-1] - losses[:, 1:]
    told = promised > 1e6 * slack  # below, a ratio is rounding
    least = np.minimum.accumulate(gradients**2, axis=1)
    bound = losses[:, :1] / (c * np.arange(1, losses.shape[1] + 1))
    return {
        "inequality_exceptions": share_of((fall < promised - slack).any(axis=1)),
        "sharpness": float((fall[told] / promised[told]).min()) if told.any() else np.nan,
        "bound_exceptions": share_of((least > bound * (1 + ROUNDING)).any(axis=1)),
        "bound_ratio": float((least / bound).max()) if len(least) else np.nan,
        "sum_exceptions": share_of(
            (gradients**2).sum(axis=1) > losses[:, 0] / c[:, 0] * (1 + ROUNDING)
        ),
        "stop_exceptions": share_of(_late(least, losses[:, 0], c[:, 0], smoothness)),
    }


def _late(least: np.ndarray, gap: np.ndarray, c: np.ndarray, smoothness: float) -> np.ndarray:
    """Does a run reach some accuracy after the point that is promised? (run,)"""
    late = np.zeros(len(least), dtype=bool)
    for accuracy in ACCURACIES**2:
        square = accuracy * 2 * smoothness * gap
        promised = np.floor(gap / (c * square)) + 1
        reached = least < square[:, None]
        first = np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, np.inf)
        seen = promised <= least.shape[1]
        late |= seen & (first > promised)
    return late


@nnflow.hookimpl
def nnflow_register(register):
    register("descent_inequality", DescentInequality)
