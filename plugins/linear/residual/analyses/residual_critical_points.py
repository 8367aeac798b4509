"""Critical points of residual linear networks, inside and outside of the ball ‖V_k‖ < 1."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, flag_mask, share

from ....general._padding import padded


class ResidualCriticalPoints(Analysis):
    """Is every critical point with max‖V_k‖₂ < 1 a global minimum?

    Per run: `largest_norm` max‖V_k‖ and `smallest_value`, the smallest singular value of any
    I + V_k, `gap` above the infimum and `is_critical`, each (configuration, run). Shares have
    Clopper–Pearson intervals at 99 %; `elsewhere_value` is 0 where every critical point that is
    not global has a singular layer.
    """

    needs = ("critical_points",)
    models = ("residual_linear_network",)
    columns = {
        "runs": "runs",
        "critical": "runs at critical points",
        "inside": "runs at critical points with max‖V_k‖ < 1 − margin",
        "counterexamples": "of these, not global",
        "counterexample_share": "share of critical points with max‖V_k‖ < 1 that are not global",
        "elsewhere": "runs at critical points that are not global",
        "elsewhere_norm": "least max‖V_k‖ of a critical point that is not global",
        "elsewhere_value": "largest smallest singular value of a layer at such a point",
        "regular_elsewhere": "critical points that are not global, with regular layers",
        "end_norm": "largest max‖V_k‖ of a run at the infimum",
        "scaled_end_norm": "the same times the depth",
    }

    margin: PositiveFloat = 0.01
    """Room below 1. Critical points that are not global exist at max‖V_k‖ = 1, the stalls of
    descents from V = 0 among them, and runs come to them from inside."""
    regular_above: PositiveFloat = 1e-3
    """A layer counts as regular where its smallest singular value exceeds this."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        runs = []
        for configuration, critical in results.each("critical_points"):
            model = configuration.settings.model
            measured = _by_run(model, critical)
            table.row(configuration, **self._counts(measured, critical))
            table.row(configuration, **_at_infimum(model, measured, critical))
            runs.append(measured)
        axes = ("configuration", "run")
        return table.dataset().assign(
            {
                name: (axes, padded([part[name] for part in runs]), {"long_name": text})
                for name, text in RUNS.items()
            }
        )

    def _counts(self, measured, critical) -> dict:
        """How many critical points are where, and are global."""
        norm, value = measured["largest_norm"], measured["smallest_value"]
        stationary = measured["is_critical"] == 1
        best = flag_mask(critical["is_global"], "yes")
        inside, elsewhere = stationary & (norm < 1 - self.margin), stationary & ~best
        against = int((inside & ~best).sum())
        return {
            "runs": len(norm),
            "critical": int(stationary.sum()),
            "inside": int(inside.sum()),
            "counterexamples": against,
            "counterexample_share": share(against, int(inside.sum())),
            "elsewhere": int(elsewhere.sum()),
            "elsewhere_norm": norm[elsewhere].min() if elsewhere.any() else np.nan,
            "elsewhere_value": value[elsewhere].max() if elsewhere.any() else np.nan,
            "regular_elsewhere": int((value[elsewhere] > self.regular_above).sum()),
        }


def _by_run(model, critical) -> dict[str, np.ndarray]:
    """The variables of RUNS, each (run,)."""
    weights = critical["v"].values
    layers = np.eye(weights.shape[-1]) + weights
    return {
        "largest_norm": np.linalg.norm(weights, ord=2, axis=(2, 3)).max(axis=1),
        "smallest_value": np.linalg.svd(layers, compute_uv=False)[..., -1].min(axis=1),
        "gap": critical["loss"].values - model.infimum(),
        "is_critical": (~flag_mask(critical["kind"], "not_critical")).astype(float),
    }


def _at_infimum(model, measured, critical) -> dict[str, float]:
    """The largest norm of a run at the infimum; nothing where none is."""
    best = flag_mask(critical["is_global"], "yes") & (measured["is_critical"] == 1)
    if not best.any():
        return {}
    norm = measured["largest_norm"][best].max()
    return {"end_norm": norm, "scaled_end_norm": norm * model.depth}


RUNS = {
    "largest_norm": "max‖V_k‖",
    "smallest_value": "smallest singular value of a layer I + V_k",
    "gap": "loss above the infimum",
    "is_critical": "1 at critical points",
}


@nnflow.hookimpl
def nnflow_register(register):
    register("residual_critical_points", ResidualCriticalPoints)
