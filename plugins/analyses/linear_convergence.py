"""Where runs of linear networks end, and that they stay bounded on the way."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, flag_mask

from ._linear import critical_values, table

COLUMNS = {
    "runs": "runs",
    "not_critical": "runs that did not reach a critical point",
    "off_values": "runs whose last loss is no critical value ½Σs²",
    "not_global": "runs that did not reach the global minimum",
    "global_share": "share of runs that reached the global minimum",
    "largest_norm": "largest ‖W‖ along all runs",
    "bound_violations": "recorded times at which dg/dt exceeds its bound, g = ‖W_K‖²",
    "manifold_error": "largest distance of the last loss from ½Σs² over modes begun at 0",
}


class LinearConvergence(Analysis):
    """Ends of the runs beside the critical values, and the bound

    dg/dt ≤ −C₀g^K + C₁(1 + g^{K−1}),  g = ‖W_K‖²,

    of Chitour, Liao & Couillet (arXiv:1811.03568) for balanced starts, where C₀ = 2/d_K^{K−1}
    and C₁ = 2‖Y‖ serve: dg/dt = 2⟨Y, Π⟩ − 2‖Π‖² and ‖Π‖² = tr (W_KW_Kᵀ)^K, with Π = W_K⋯W₁,
    lies between g^K/d_K^{K−1} and g^K. For X = I; ‖Π‖² follows from the loss and the strengths.
    """

    needs = ("training", "critical_points")

    within: PositiveFloat = 1e-9
    """A loss this near to a critical value is that value."""

    def compute(self, results):
        rows = {}
        for point, trained in results.each("training"):
            ends = results.at("critical_points", point.label)
            rows[point.label] = self._row(point, trained, ends)
        return table(rows, COLUMNS)

    def _row(self, point, trained, ends) -> dict[str, float]:
        model, loss = point.experiment.model, ends["loss"].values
        known = critical_values(model.modes[1], min(model.widths))
        reached = flag_mask(ends["is_global"], "yes")
        share, low, high = nnflow.share(int(reached.sum()), len(reached))
        row = {
            "runs": len(loss),
            "not_critical": flag_mask(ends["kind"], "not_critical").sum(),
            "off_values": (np.abs(loss[:, None] - known).min(axis=1) > self.within).sum(),
            "not_global": (~reached).sum(),
            "global_share": share,
            "global_share_low": low,
            "global_share_high": high,
        }
        if "trace_squared_norm" in trained:
            norms = trained["trace_squared_norm"].values
            row["largest_norm"] = float(np.sqrt(np.nanmax(norms.sum(axis=2))))
        strengths = getattr(point.experiment.initializer, "strengths", None)
        if strengths is not None:
            row["bound_violations"] = _violations(model, trained)
            values = model.modes[1]
            begun = np.pad(strengths, (0, len(values) - len(strengths)))
            expected = (values[begun == 0] ** 2).sum() / 2
            row["manifold_error"] = np.abs(loss - expected).max()
        return row


def _violations(model, trained) -> int:
    layers, outputs = len(model.widths) - 1, model.widths[-1]
    g = trained["trace_squared_norm"].values[..., -1]
    overlap = trained["trace_strength"].values @ model.modes[1]
    size = (model.y**2).sum()
    squared = 2 * trained["trace_loss"].values - size + 2 * overlap
    slope = 2 * overlap - 2 * squared
    low, high = 2 / outputs ** (layers - 1), 2 * np.sqrt(size)
    bound = -low * g**layers + high * (1 + g ** (layers - 1))
    # NaN after a run's end compares as false
    return int((slope > bound + 1e-12 * np.abs(bound)).sum())


@nnflow.hookimpl
def nnflow_register_analyses(register):
    register("linear_convergence", LinearConvergence)
