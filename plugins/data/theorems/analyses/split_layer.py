"""Is the split neuron a bad minimum, and do descents end there?"""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, share, torch

from ..._gradient_bound import gradient_bound
from .._split_data import logistic, split_data
from .._split_proof import split_proof

ZERO = 1e-10
"""A Hessian eigenvalue below this part of the largest counts as zero; those that are zero are
near 1e-16, the others above 1e-3."""


class SplitLayer(Analysis):
    """The bad minimum of `split_layer`: proved, by its Hessian, and by the runs that end there.

    A run is stuck if it ends at a critical point above the infimum 0 without a negative
    eigenvalue. `bound_violations` counts the first weights and the ends of runs at which
    ‖∂L/∂W₂‖ < σ_min(σ(W₁X)) ‖residual‖ (see `gradient_bound`). `eigenvalue` (configuration,
    mode) are those of the Hessian at the split neuron, NaN beyond the weights.
    """

    models = ("split_layer",)
    needs = ("initialization", "critical_points")
    columns = {
        "proved_bad_minima": "local minima above the infimum that are proved",
        "curvature": "proved: lowest Hessian eigenvalue across the set of split neurons",
        "bad_loss": "proved: loss of the split neuron",
        "nullity": "zero eigenvalues of the Hessian at the split neuron",
        "runs": "runs",
        "stuck_share": "share of runs that end at a bad minimum",
        "below_share": "share of runs that end below a hundredth of the bad minimum's loss",
        "strict_bad_minima": "share of stuck runs whose Hessian is positive definite",
        "bound_points": "points at which the gradient has a bound above rounding",
        "bound_violations": "share of points at which the gradient is below its bound",
    }

    def compute(self, results):
        table = Table(results, self.columns)
        eigenvalues = []
        for configuration, critical in results.each("critical_points"):
            model = configuration.settings.model
            proof = split_proof(*split_data(model.samples))
            bad = proof["curvature"][1] > 0 and proof["loss"][1] > 0
            attained = abs(proof["determinant"][0]) > 0 and np.prod(proof["determinant"][1:]) > 0
            values = _eigenvalues(model)
            eigenvalues.append(values)
            started = results.at("initialization", configuration.label)
            bounds = [_bound(model, points) for points in (started, critical)]
            points = sum(bound.informative for bound in bounds)
            table.row(
                configuration,
                proved_bad_minima=int(bad and attained),
                curvature=proof["curvature"],
                bad_loss=proof["loss"],
                nullity=int((np.abs(values) < ZERO * np.abs(values).max()).sum()),
                bound_points=points,
                bound_violations=share(sum(bound.violations for bound in bounds), points),
                **_ends(critical, proof["loss"][0]),
            )
        width = max(map(len, eigenvalues))
        padded = [np.pad(v, (0, width - len(v)), constant_values=np.nan) for v in eigenvalues]
        text = {"long_name": "eigenvalues of the Hessian at the split neuron, ascending"}
        return table.dataset().assign(
            eigenvalue=(("configuration", "mode"), np.stack(padded), text)
        )


def _eigenvalues(model) -> np.ndarray:
    """At w_j = 1, v_j = 1/m."""
    count = model.samples
    point = {
        "w1": torch.ones(1, count, 1, dtype=torch.float64),
        "w2": torch.full((1, 1, count), 1 / count, dtype=torch.float64),
    }
    return np.linalg.eigvalsh(model.hessian(point, {})[0].numpy())


def _bound(model, points):
    inputs, targets = split_data(model.samples)
    weights = [points[name].values for name in ("w1", "w2")]
    return gradient_bound(weights, inputs[None], targets[None], lambda z: logistic(z)[:2], layer=2)


def _ends(critical, bad_loss: float) -> dict:
    runs, loss = critical.sizes["run"], critical["loss"].values
    here = ~flag_mask(critical["kind"], "not_critical") & ~flag_mask(critical["is_global"], "yes")
    stuck = here & (critical["index"].values == 0)
    strict = stuck & (critical["nullity"].values == 0)
    return {
        "runs": runs,
        "stuck_share": share(int(stuck.sum()), runs),
        "below_share": share(int((loss < bad_loss / 100).sum()), runs),
        "strict_bad_minima": share(int(strict.sum()), int(stuck.sum())),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("split_layer", SplitLayer)
