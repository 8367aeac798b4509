"""Where runs of linear networks end, and that they stay bounded on the way."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, flag_mask

from ..._matrices import critical_values, table
from ._boundedness import barrier, constants

COLUMNS = {
    "runs": "runs",
    "not_critical": "runs that did not reach a critical point",
    "off_values": "runs whose last loss is no critical value ½Σs²",
    "not_global": "runs that did not reach the global minimum",
    "global_share": "share of runs that reached the global minimum",
    "largest_norm": "largest ‖W‖ along all runs",
    "bound_violations": "recorded times at which dg/dt exceeds its bound, g = ‖W_K‖²",
    "norm_over_barrier": "largest g over what the bound and its start allow",
    "manifold_error": "largest distance of the last loss from ½Σs² over modes begun at 0",
}


class LinearConvergence(Analysis):
    """Ends of the runs beside the critical values, and the bound

    dg/dt ≤ −C₀g^K + C₁(1 + g^{K−1}),  g = ‖W_K‖²,

    of Chitour, Liao & Couillet (arXiv:1811.03568) along gradient flows, with the constants that
    `_boundedness` derives from each run's start. dg/dt = 2⟨Y, Π⟩ − 2‖Π‖² with Π = W_K⋯W₁, for
    X = I; ‖Π‖² follows from the loss and the strengths.
    """

    needs = ("training", "critical_points")

    within: PositiveFloat = 1e-9
    """A loss this near to a critical value is that value."""

    def compute(self, results):
        rows = {}
        for configuration, trained in results.each("training"):
            ends = results.at("critical_points", configuration.label)
            rows[configuration.label] = self._row(configuration, trained, ends)
        return table(rows, COLUMNS)

    def _row(self, configuration, trained, ends) -> dict[str, float]:
        model, loss = configuration.settings.model, ends["loss"].values
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
        if configuration.settings.optimizer.name == "gradient_flow":
            row |= _bounded(model, trained)
        strengths = getattr(configuration.settings.initializer, "strengths", None)
        if strengths is not None:
            values = model.modes[1]
            begun = np.pad(strengths, (0, len(values) - len(strengths)))
            expected = (values[begun == 0] ** 2).sum() / 2
            row["manifold_error"] = np.abs(loss - expected).max()
        return row


def _bounded(model, trained) -> dict[str, float]:
    """Does each run keep the bound on dg/dt, and what the bound allows of g itself?"""
    layers = len(model.widths) - 1
    norms, entries = trained["trace_squared_norm"].values, trained["trace_imbalance"].values
    size = (model.y**2).sum()
    first, second = constants(model.widths, np.sqrt(size), entries[:, 0], norms[:, 0])
    g = norms[..., -1]
    overlap = trained["trace_strength"].values @ model.modes[1]
    squared = 2 * trained["trace_loss"].values - size + 2 * overlap
    slope = 2 * overlap - 2 * squared
    bound = -first * g**layers + second[:, None] * (1 + g ** (layers - 1))
    allowed = np.maximum(g[:, 0], barrier(first, second, layers))
    # NaN after a run's end compares as false
    return {
        "bound_violations": (slope > bound + 1e-12 * np.abs(bound)).sum(),
        "norm_over_barrier": np.nanmax(g / allowed[:, None]),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_convergence", LinearConvergence)
