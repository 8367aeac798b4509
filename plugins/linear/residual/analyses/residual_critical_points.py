"""Critical points of residual linear networks, inside and outside of the ball ‖V_k‖ < 1."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, UserError, flag_mask, share


class ResidualCriticalPoints(Analysis):
    """Is every critical point with max‖V_k‖₂ < 1 a global minimum?

    Per run of a residual_linear_network: `largest_norm` max‖V_k‖ and `smallest_value`, the
    smallest singular value of any I + V_k (point, run), `gap` above the infimum and
    `is_critical`. Columns: `runs`, of which `critical`; `inside`, critical with max‖V_k‖ < 1 by
    more than the margin; `counterexamples` among these, not global; `counterexample_share` of
    them with its Clopper–Pearson interval at 99 %; `elsewhere`, critical and not global; of these
    the least `elsewhere_norm` max‖V_k‖ and the largest `elsewhere_value`, which is 0 where every
    one of them has a singular layer; `regular_elsewhere`, those with all layers regular; and
    `end_norm`, the largest max‖V_k‖ of a run at the infimum, with `scaled_end_norm`, K times it.
    """

    needs = ("critical_points",)

    margin: PositiveFloat = 0.01
    """Room below 1. Critical points that are not global exist at max‖V_k‖ = 1, the stalls of
    descents from V = 0 among them, and runs come to them from inside."""
    regular_above: PositiveFloat = 1e-3
    """A layer counts as regular where its smallest singular value exceeds this."""

    def compute(self, results):
        import xarray as xr

        found = [
            self._point(results, configuration, ends)
            for configuration, ends in results.each(self.needs[0])
        ]
        variables = {
            name: ("configuration", [columns[name] for columns, _ in found], {"long_name": text})
            for name, text in COLUMNS.items()
        }
        most = max(len(runs["gap"]) for _, runs in found)
        for name, text in RUNS.items():
            rows = np.full((len(found), most), np.nan)
            for row, (_, runs) in zip(rows, found, strict=True):
                row[: len(runs[name])] = runs[name]
            variables[name] = (("configuration", "run"), rows, {"long_name": text})
        return xr.Dataset(
            variables,
            {"configuration": [configuration.label for configuration in results.configurations]},
        )

    def _point(self, results, configuration, ends) -> tuple[dict, dict]:
        model = configuration.settings.model
        if model.name != "residual_linear_network":
            raise UserError(
                f"{results.study.file}: analyses: residual_critical_points is about"
                f" residual_linear_network, not {model.name!r}"
            )
        weights = ends["v"].values
        norm = np.linalg.norm(weights, ord=2, axis=(2, 3)).max(axis=1)
        layers = np.eye(weights.shape[-1]) + weights
        value = np.linalg.svd(layers, compute_uv=False)[..., -1].min(axis=1)
        critical = ~flag_mask(ends["kind"], "not_critical")
        best = flag_mask(ends["is_global"], "yes")
        inside, elsewhere = critical & (norm < 1 - self.margin), critical & ~best
        against = int((inside & ~best).sum())
        portion, low, high = share(against, int(inside.sum()))
        end_norm = norm[critical & best].max(initial=-np.inf)
        end_norm = end_norm if np.isfinite(end_norm) else np.nan
        columns = {
            "runs": len(norm),
            "critical": int(critical.sum()),
            "inside": int(inside.sum()),
            "counterexamples": against,
            "counterexample_share": portion,
            "counterexample_share_low": low,
            "counterexample_share_high": high,
            "elsewhere": int(elsewhere.sum()),
            "elsewhere_norm": norm[elsewhere].min() if elsewhere.any() else np.nan,
            "elsewhere_value": value[elsewhere].max() if elsewhere.any() else np.nan,
            "regular_elsewhere": int((value[elsewhere] > self.regular_above).sum()),
            "end_norm": end_norm,
            "scaled_end_norm": end_norm * model.depth,
        }
        gap = ends["loss"].values - model.infimum()
        runs = {"largest_norm": norm, "smallest_value": value, "gap": gap}
        return columns, runs | {"is_critical": critical.astype(float)}


RUNS = {
    "largest_norm": "max‖V_k‖",
    "smallest_value": "smallest singular value of a layer I + V_k",
    "gap": "loss above the infimum",
    "is_critical": "1 at critical points",
}
COLUMNS = {
    "runs": "runs",
    "critical": "runs at critical points",
    "inside": "runs at critical points with max‖V_k‖ < 1 − margin",
    "counterexamples": "of these, not global",
    "counterexample_share": "share of critical points with max‖V_k‖ < 1 that are not global",
    "counterexample_share_low": "the share's lower end of the 99 % interval",
    "counterexample_share_high": "the share's upper end of the 99 % interval",
    "elsewhere": "runs at critical points that are not global",
    "elsewhere_norm": "least max‖V_k‖ of a critical point that is not global",
    "elsewhere_value": "largest smallest singular value of a layer at such a point",
    "regular_elsewhere": "critical points that are not global, with regular layers",
    "end_norm": "largest max‖V_k‖ of a run at the infimum",
    "scaled_end_norm": "the same times the depth",
}


@nnflow.hookimpl
def nnflow_register(register):
    register("residual_critical_points", ResidualCriticalPoints)
